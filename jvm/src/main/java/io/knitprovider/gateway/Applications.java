package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.concurrent.TimeoutException;
import org.apache.hadoop.yarn.api.ApplicationClientProtocol;
import org.apache.hadoop.yarn.api.protocolrecords.GetApplicationReportRequest;
import org.apache.hadoop.yarn.api.protocolrecords.GetNewApplicationRequest;
import org.apache.hadoop.yarn.api.protocolrecords.GetNewApplicationResponse;
import org.apache.hadoop.yarn.api.protocolrecords.KillApplicationRequest;
import org.apache.hadoop.yarn.api.records.ApplicationAttemptId;
import org.apache.hadoop.yarn.api.records.ApplicationId;
import org.apache.hadoop.yarn.api.records.ApplicationReport;
import org.json.JSONArray;
import org.json.JSONObject;

/** Application ids, reports and the end of applications. */
final class Applications {

  private static final long KILL_POLL_MS = 50;

  private Applications() {}

  static Object create(Call call) throws Exception {
    call.hadoop.learnResourceTypes();
    GetNewApplicationResponse response =
        call.hadoop.resourceManager().getNewApplication(GetNewApplicationRequest.newInstance());
    return new JSONObject()
        .put("application_id", response.getApplicationId().toString())
        .put("max_memory", response.getMaximumResourceCapability().getMemorySize())
        .put("max_vcores", response.getMaximumResourceCapability().getVirtualCores())
        .put("max_resources", ResourceTypes.named(response.getMaximumResourceCapability()));
  }

  static ApplicationId id(String text) {
    try {
      return ApplicationId.fromString(text);
    } catch (IllegalArgumentException e) {
      throw new InvalidInput(
          "application_id is " + text + "; it has to look like application_1700000000000_0001", e);
    }
  }

  static ApplicationReport fetch(ApplicationClientProtocol resourceManager, ApplicationId id)
      throws Exception {
    return resourceManager
        .getApplicationReport(GetApplicationReportRequest.newInstance(id))
        .getApplicationReport();
  }

  /**
   * The number of the current attempt; 0 while there is none, for which YARN has two ways of saying
   * it.
   */
  static int attempt(ApplicationReport report) {
    ApplicationAttemptId attempt = report.getCurrentApplicationAttemptId();
    return attempt == null ? 0 : Math.max(0, attempt.getAttemptId());
  }

  static Object report(Call call) throws Exception {
    ApplicationReport report =
        fetch(call.hadoop.resourceManager(), id(call.string("application_id")));
    return new JSONObject()
        .put("application_id", report.getApplicationId().toString())
        .put("name", report.getName())
        .put("type", report.getApplicationType())
        .put("user", report.getUser())
        .put("queue", report.getQueue())
        .put("tags", new JSONArray(report.getApplicationTags()))
        .put("state", report.getYarnApplicationState().name())
        .put("final_status", report.getFinalApplicationStatus().name())
        .put("diagnostics", Json.orNull(report.getDiagnostics()))
        .put("progress", report.getProgress())
        .put("started_ms", report.getStartTime())
        .put("finished_ms", report.getFinishTime())
        .put("tracking_url", Json.orNull(report.getTrackingUrl()))
        .put("host", Json.orNull(report.getHost()))
        .put("rpc_port", report.getRpcPort())
        .put("attempt", attempt(report));
  }

  static Object kill(Call call) throws Exception {
    ApplicationId id = id(call.string("application_id"));
    KillApplicationRequest request = KillApplicationRequest.newInstance(id);
    String diagnostics = Json.string(call.args, "diagnostics", null);
    if (diagnostics != null) {
      request.setDiagnostics(diagnostics);
    }
    ApplicationClientProtocol resourceManager = call.hadoop.resourceManager();
    // The call only asks for the end; the ResourceManager wants to be asked again until it has
    // come.
    while (!resourceManager.forceKillApplication(request).getIsKillCompleted()) {
      if (call.remainingMs() <= KILL_POLL_MS) {
        throw new TimeoutException();
      }
      Thread.sleep(KILL_POLL_MS);
    }
    return new JSONObject()
        .put("state", fetch(resourceManager, id).getYarnApplicationState().name());
  }
}
