package io.knitprovider.am.spec;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.json.JSONArray;
import org.json.JSONObject;

/** Reads the application's document and refuses what could never run, by the field's name. */
public final class SpecReader {

  /** The version of the document that this ApplicationMaster understands. */
  public static final int VERSION = 1;

  private static final int MOST_INSTANCES = 100_000;
  private static final int MOST_PORT = 65_535;

  private SpecReader() {}

  public static ApplicationSpec read(String text) {
    JSONObject json = Json.parse(text, "knit-spec.json");
    long version = Json.integer(json, "version");
    if (version != VERSION) {
      throw new InvalidInput(
          "version is "
              + version
              + "; this ApplicationMaster reads version "
              + VERSION
              + ": knit-provider and its jar are not of one release");
    }
    ApplicationSpec.Builder spec = new ApplicationSpec.Builder();
    spec.applicationId = Json.string(json, "application_id");
    spec.submissionId = Json.string(json, "submission_id");
    spec.name = Json.string(json, "name", "knit");
    spec.user = Json.string(json, "user", "");
    spec.secure = Json.bool(json, "secure", false);
    spec.stagingDir = Json.string(json, "staging_dir");
    spec.ledgerFile = Json.string(json, "ledger_file");
    spec.maxAttempts = Json.between(json, "max_attempts", 1, 1, 1_000);
    spec.bound = Json.bool(json, "bound", false);
    spec.leaseSeconds = Json.between(json, "lease_seconds", 90, 1, 30 * 24 * 3600);
    spec.lifetimeSeconds = Json.integer(json, "lifetime_seconds", 0);
    readPorts(json, spec);
    spec.hadoopConf = Json.stringMap(json, "hadoop_conf");
    JSONObject acls = Json.objectOrNull(json, "acls");
    spec.viewAcl = acls == null ? null : Json.string(acls, "view", null);
    spec.modifyAcl = acls == null ? null : Json.string(acls, "modify", null);
    spec.masterScript = Json.string(json, "master_script", null);
    JSONObject keytab = Json.objectOrNull(json, "keytab");
    spec.keytab = keytab == null ? null : KeytabSpec.parse(keytab);
    spec.services = Collections.unmodifiableList(readServices(json));
    if (spec.services.isEmpty() && spec.masterScript == null) {
      throw new InvalidInput("services is empty and there is no master_script: nothing to run");
    }
    return new ApplicationSpec(spec);
  }

  private static void readPorts(JSONObject json, ApplicationSpec.Builder spec) {
    if (json.isNull("am_port_range")) {
      return;
    }
    Object range = json.get("am_port_range");
    if (!(range instanceof JSONArray) || ((JSONArray) range).length() != 2) {
      throw new InvalidInput("am_port_range has to be two ports, [low, high], not " + range);
    }
    spec.lowPort = ((JSONArray) range).optInt(0, -1);
    spec.highPort = ((JSONArray) range).optInt(1, -1);
    if (spec.lowPort < 0 || spec.highPort > MOST_PORT || spec.lowPort > spec.highPort) {
      throw new InvalidInput(
          "am_port_range is " + range + "; it has to be [low, high] within 0.." + MOST_PORT);
    }
  }

  private static List<ServiceSpec> readServices(JSONObject json) {
    List<ServiceSpec> services = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (JSONObject service : Json.objects(json, "services")) {
      ServiceSpec read = readService(service, services.size());
      if (!names.add(read.name)) {
        throw new InvalidInput("services has two services named " + read.name);
      }
      services.add(read);
    }
    for (ServiceSpec service : services) {
      for (String dependency : service.dependsOn) {
        if (!names.contains(dependency)) {
          throw new InvalidInput(
              "service " + service.name + " depends on " + dependency + ", which does not exist");
        }
      }
    }
    refuseCycles(services);
    return services;
  }

  private static ServiceSpec readService(JSONObject json, int position) {
    ServiceSpec.Builder service = new ServiceSpec.Builder();
    service.position = position;
    service.name = Json.string(json, "name");
    String where = "services." + service.name;
    try {
      service.instances = Json.between(json, "instances", 1, 0, MOST_INSTANCES);
      service.resources = Resources.parse(json, "resources", null);
      service.dependsOn = Json.strings(json, "depends_on");
      service.maxRestarts = Json.between(json, "max_restarts", 0, -1, Integer.MAX_VALUE);
      service.allowFailures = Json.bool(json, "allow_failures", false);
      service.whenEmpty = readWhenEmpty(Json.string(json, "when_empty", "finish"));
      service.nodeLabel = Json.string(json, "node_label", "");
      service.nodes = Json.strings(json, "nodes");
      service.racks = Json.strings(json, "racks");
      boolean placed = !service.nodes.isEmpty() || !service.racks.isEmpty();
      if (placed && !service.nodeLabel.isEmpty()) {
        throw new InvalidInput("node_label cannot be combined with nodes or racks in YARN");
      }
      // Without nodes or racks there is nothing to hold on to, and YARN refuses the request.
      service.relaxLocality = Json.bool(json, "relax_locality", true) || !placed;
      service.localResources = readFiles(json);
    } catch (InvalidInput e) {
      throw new InvalidInput(where + ": " + e.getMessage(), e);
    }
    if (!service.localResources.containsKey(ServiceSpec.RUN_SCRIPT)) {
      throw new InvalidInput(where + ".local_resources lacks " + ServiceSpec.RUN_SCRIPT);
    }
    return new ServiceSpec(service);
  }

  private static ServiceSpec.WhenEmpty readWhenEmpty(String value) {
    for (ServiceSpec.WhenEmpty choice : ServiceSpec.WhenEmpty.values()) {
      if (choice.name().toLowerCase(Locale.ROOT).equals(value)) {
        return choice;
      }
    }
    throw new InvalidInput("when_empty is " + value + "; it has to be finish, stay or end");
  }

  private static Map<String, LocalFile> readFiles(JSONObject json) {
    JSONObject files = Json.object(json, "local_resources");
    Map<String, LocalFile> result = new LinkedHashMap<>();
    for (String link : files.keySet()) {
      result.put(link, LocalFile.parse(Json.object(files, link), "local_resources." + link));
    }
    return result;
  }

  private static void refuseCycles(List<ServiceSpec> services) {
    Map<String, ServiceSpec> byName = new HashMap<>();
    for (ServiceSpec service : services) {
      byName.put(service.name, service);
    }
    Set<String> settled = new HashSet<>();
    for (ServiceSpec service : services) {
      visit(service, byName, settled, new ArrayList<>());
    }
  }

  private static void visit(
      ServiceSpec service,
      Map<String, ServiceSpec> byName,
      Set<String> settled,
      List<String> path) {
    if (settled.contains(service.name)) {
      return;
    }
    int seen = path.indexOf(service.name);
    path.add(service.name);
    if (seen >= 0) {
      throw new InvalidInput(
          "depends_on runs in a circle: " + String.join(" -> ", path.subList(seen, path.size())));
    }
    for (String dependency : service.dependsOn) {
      visit(byName.get(dependency), byName, settled, path);
    }
    path.remove(path.size() - 1);
    settled.add(service.name);
  }
}
