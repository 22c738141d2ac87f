package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import org.apache.hadoop.io.DataOutputBuffer;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.yarn.api.records.ApplicationAccessType;
import org.apache.hadoop.yarn.api.records.ApplicationId;
import org.apache.hadoop.yarn.api.records.ApplicationSubmissionContext;
import org.apache.hadoop.yarn.api.records.ApplicationTimeoutType;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.LocalResource;
import org.apache.hadoop.yarn.api.records.LocalResourceType;
import org.apache.hadoop.yarn.api.records.LocalResourceVisibility;
import org.apache.hadoop.yarn.api.records.LogAggregationContext;
import org.apache.hadoop.yarn.api.records.Priority;
import org.apache.hadoop.yarn.api.records.ReservationId;
import org.apache.hadoop.yarn.api.records.URL;
import org.apache.hadoop.yarn.util.Records;
import org.json.JSONObject;

/** Builds what YARN calls the application submission context out of our JSON. */
final class SubmissionContext {

  private final Call call;
  private final JSONObject json;
  private final ApplicationId id;

  SubmissionContext(Call call, ApplicationId id) {
    this.call = call;
    this.json = call.args;
    this.id = id;
  }

  ApplicationSubmissionContext build() throws Exception {
    ApplicationSubmissionContext context = Records.newRecord(ApplicationSubmissionContext.class);
    context.setApplicationId(id);
    context.setApplicationName(Json.string(json, "name"));
    context.setQueue(Json.string(json, "queue"));
    context.setMaxAppAttempts(Json.between(json, "max_attempts", 1, 1, Integer.MAX_VALUE));
    context.setKeepContainersAcrossApplicationAttempts(Json.bool(json, "keep_containers", true));
    context.setApplicationType(Json.string(json, "type", "knit"));
    context.setApplicationTags(new HashSet<>(Json.strings(json, "tags")));
    if (Json.has(json, "priority")) {
      context.setPriority(
          Priority.newInstance(
              Json.between(json, "priority", 0, Integer.MIN_VALUE, Integer.MAX_VALUE)));
    }
    if (Json.has(json, "attempt_failures_validity_ms")) {
      context.setAttemptFailuresValidityInterval(
          Json.integer(json, "attempt_failures_validity_ms"));
    }
    if (Json.has(json, "lifetime_seconds")) {
      Map<ApplicationTimeoutType, Long> timeouts = new EnumMap<>(ApplicationTimeoutType.class);
      timeouts.put(ApplicationTimeoutType.LIFETIME, Json.integer(json, "lifetime_seconds"));
      context.setApplicationTimeouts(timeouts);
    }
    if (Json.has(json, "node_label")) {
      context.setNodeLabelExpression(Json.string(json, "node_label"));
    }
    if (Json.has(json, "reservation_id")) {
      context.setReservationID(reservation(Json.string(json, "reservation_id")));
    }
    if (Json.has(json, "log_aggregation")) {
      context.setLogAggregationContext(logAggregation(Json.object(json, "log_aggregation")));
    }
    JSONObject am = Json.object(json, "am");
    JSONObject resources = Json.object(am, "resources");
    Map<String, Long> named = Json.integerMap(resources, "named");
    context.setResource(
        ResourceTypes.resource(
            Json.between(resources, "memory", 0, 1, Integer.MAX_VALUE),
            Json.between(resources, "vcores", 1, 1, Integer.MAX_VALUE),
            named));
    CredentialsForAm credentials = new CredentialsForAm(call);
    context.setAMContainerSpec(launch(am, credentials.collect()));
    context.setCancelTokensWhenComplete(!credentials.areBorrowed());
    return context;
  }

  private ContainerLaunchContext launch(JSONObject am, Credentials credentials) throws Exception {
    ContainerLaunchContext launch = Records.newRecord(ContainerLaunchContext.class);
    launch.setCommands(Collections.singletonList(Json.string(am, "command")));
    launch.setEnvironment(Json.stringMap(am, "environment"));
    launch.setLocalResources(localResources(Json.objectOrNull(am, "local_resources")));
    launch.setApplicationACLs(acls(Json.objectOrNull(json, "acls")));
    DataOutputBuffer buffer = new DataOutputBuffer();
    credentials.writeTokenStorageToStream(buffer);
    launch.setTokens(java.nio.ByteBuffer.wrap(buffer.getData(), 0, buffer.getLength()));
    return launch;
  }

  private static Map<String, LocalResource> localResources(JSONObject json) {
    Map<String, LocalResource> result = new HashMap<>();
    if (json == null) {
      return result;
    }
    for (String link : json.keySet()) {
      JSONObject one = Json.object(json, link);
      result.put(
          link,
          LocalResource.newInstance(
              URL.fromURI(uri(link, Json.string(one, "uri"))),
              choice(LocalResourceType.class, link, Json.string(one, "type", "FILE")),
              choice(
                  LocalResourceVisibility.class, link, Json.string(one, "visibility", "PRIVATE")),
              Json.integer(one, "size"),
              Json.integer(one, "timestamp")));
    }
    return result;
  }

  private static URI uri(String link, String text) {
    try {
      return new URI(text);
    } catch (URISyntaxException e) {
      throw new InvalidInput(
          "the uri of the local resource " + link + " is not one: " + e.getMessage(), e);
    }
  }

  private static <E extends Enum<E>> E choice(Class<E> type, String link, String value) {
    try {
      return Enum.valueOf(type, value.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new InvalidInput(
          "the local resource " + link + " has no " + type.getSimpleName() + " " + value, e);
    }
  }

  private static Map<ApplicationAccessType, String> acls(JSONObject json) {
    Map<ApplicationAccessType, String> result = new EnumMap<>(ApplicationAccessType.class);
    if (json != null && Json.has(json, "view")) {
      result.put(ApplicationAccessType.VIEW_APP, Json.string(json, "view"));
    }
    if (json != null && Json.has(json, "modify")) {
      result.put(ApplicationAccessType.MODIFY_APP, Json.string(json, "modify"));
    }
    return result;
  }

  private static ReservationId reservation(String text) {
    try {
      ReservationId id = ReservationId.parseReservationId(text);
      if (id != null) {
        return id;
      }
    } catch (java.io.IOException | NumberFormatException e) {
      // Said below, as for a text that Hadoop turns into null.
    }
    throw new InvalidInput(
        "reservation_id is " + text + "; it has to look like reservation_1700000000000_0001");
  }

  private static LogAggregationContext logAggregation(JSONObject json) {
    return LogAggregationContext.newInstance(
        Json.string(json, "include", null),
        Json.string(json, "exclude", null),
        Json.string(json, "rolled_include", null),
        Json.string(json, "rolled_exclude", null));
  }
}
