package io.knitprovider.am.control;

import io.knitprovider.am.Log;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.LateJournal;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.state.UnknownContainer;
import io.knitprovider.am.state.VersionConflict;
import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * The control channel's paths: what each takes, does and answers. Knows nothing of HTTP servers.
 */
final class ControlApi {

  private static final int MOST_INSTANCES = 100_000;
  private static final int MOST_INDEX = 100_000_000;

  /** All that a container's own secret is good for, beside the key-value store. */
  private static final Set<String> FOR_WORKERS =
      new HashSet<>(Arrays.asList("GET /v1/status", "POST /v1/progress"));

  private final ControlActions actions;
  private final KeyValueApi values;

  ControlApi(ControlActions actions) {
    this.actions = actions;
    this.values = new KeyValueApi(actions);
  }

  /** Answers a request; never throws. */
  ControlReply answer(ControlSecrets.Role role, String method, String path, String body) {
    String request = method + " " + path;
    boolean allowed =
        role == ControlSecrets.Role.OWNER
            || (role == ControlSecrets.Role.WORKER
                && (FOR_WORKERS.contains(request) || KeyValueApi.REQUESTS.contains(request)));
    if (!allowed) {
      return ControlReply.unauthorized();
    }
    try {
      return route(request, body.isEmpty() ? new JSONObject() : Json.parse(body, "the body"));
    } catch (InvalidInput e) {
      return ControlReply.error(400, "InvalidInput", e.getMessage());
    } catch (UnknownContainer e) {
      return ControlReply.error(404, "UnknownContainer", e.getMessage());
    } catch (VersionConflict e) {
      return ControlReply.error(409, "VersionConflict", e.getMessage());
    } catch (LateJournal e) {
      // Not 503: that says that nothing was done, and that the request may be repeated.
      return ControlReply.error(504, "LateJournal", e.getMessage());
    } catch (RuntimeException e) {
      Log.error(request + " failed", e);
      return ControlReply.error(500, "Internal", Log.describe(e));
    }
  }

  private ControlReply route(String request, JSONObject body) {
    switch (request) {
      case "GET /v1/status":
        return ControlReply.ok(actions.status());
      case "GET /v1/containers":
        return ControlReply.ok(new JSONObject().put("containers", actions.containers()));
      case "POST /v1/progress":
        return progress(body);
      case "POST /v1/lease":
        return lease();
      case "DELETE /v1/lease":
        actions.endLease();
        return ControlReply.ok(new JSONObject());
      case "POST /v1/shutdown":
        actions.shutdown(Outcome.parse(body));
        return ControlReply.ok(new JSONObject());
      case "POST /v1/scale":
      case "POST /v1/instances":
      case "POST /v1/containers/remove":
        return change(request, body);
      default:
        if (KeyValueApi.REQUESTS.contains(request)) {
          return actions.isRecovering() ? refusal() : values.answer(request, body);
        }
        return ControlReply.error(404, "UnknownPath", "there is no " + request);
    }
  }

  private ControlReply change(String request, JSONObject body) {
    ControlReply refusal = refusal();
    if (refusal != null) {
      return refusal;
    }
    switch (request) {
      case "POST /v1/scale":
        return scale(body);
      case "POST /v1/instances":
        return instances(body);
      default:
        return remove(body);
    }
  }

  /** Why nothing can be changed now, or null. */
  private ControlReply refusal() {
    if (actions.isEnding()) {
      return ControlReply.error(409, "Ending", "the application is ending");
    }
    if (actions.isRecovering()) {
      return ControlReply.error(
          503, "Recovering", "this attempt is taking over from an earlier one; try again");
    }
    return null;
  }

  private ControlReply progress(JSONObject body) {
    double part = Json.number(body, "progress");
    if (!(part >= 0 && part <= 1)) {
      throw new InvalidInput("progress is " + part + "; it has to lie between 0 and 1");
    }
    actions.progress(part);
    return ControlReply.ok(new JSONObject());
  }

  private ControlReply lease() {
    Long remaining = actions.renewLease();
    return ControlReply.ok(
        new JSONObject()
            .put(
                "lease_remaining_s",
                remaining == null ? JSONObject.NULL : (Object) (remaining / 1000.0)));
  }

  private ControlReply scale(JSONObject body) {
    String service = Json.string(body, "service");
    boolean absolute = Json.has(body, "instances");
    if (absolute == Json.has(body, "delta")) {
      throw new InvalidInput("exactly one of instances and delta has to be given");
    }
    Integer instances =
        absolute ? (Integer) Json.between(body, "instances", 0, 0, MOST_INSTANCES) : null;
    Integer delta =
        absolute ? null : (Integer) Json.between(body, "delta", 0, -MOST_INSTANCES, MOST_INSTANCES);
    return ControlReply.ok(actions.scale(service, instances, delta, resources(service, body)));
  }

  private ControlReply instances(JSONObject body) {
    String service = Json.string(body, "service");
    return ControlReply.ok(
        actions.change(
            service,
            Json.integers(body, "add", 0, MOST_INDEX),
            Json.integers(body, "remove", 0, MOST_INDEX),
            resources(service, body)));
  }

  private Resources resources(String service, JSONObject body) {
    Resources own = actions.resourcesOf(service);
    return Json.has(body, "resources") && own != null
        ? Resources.parse(body, "resources", own)
        : null;
  }

  private ControlReply remove(JSONObject body) {
    if (!(body.opt("ids") instanceof JSONArray)) {
      throw new InvalidInput("ids has to be an array of container ids");
    }
    List<String> ids = Json.strings(body, "ids");
    if (ids.contains(actions.ownContainer())) {
      return ControlReply.error(
          409,
          "IsApplicationMaster",
          "container "
              + actions.ownContainer()
              + " is the ApplicationMaster itself; to end the application, kill it");
    }
    return ControlReply.ok(actions.remove(ids));
  }
}
