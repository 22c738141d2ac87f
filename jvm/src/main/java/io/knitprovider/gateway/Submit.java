package io.knitprovider.gateway;

import io.knitprovider.common.Errors;
import java.util.concurrent.TimeoutException;
import org.apache.hadoop.ipc.RemoteException;
import org.apache.hadoop.yarn.api.ApplicationClientProtocol;
import org.apache.hadoop.yarn.api.protocolrecords.SubmitApplicationRequest;
import org.apache.hadoop.yarn.api.records.ApplicationId;
import org.apache.hadoop.yarn.api.records.ApplicationReport;
import org.apache.hadoop.yarn.api.records.ApplicationSubmissionContext;
import org.apache.hadoop.yarn.api.records.YarnApplicationState;
import org.apache.hadoop.yarn.exceptions.YarnException;
import org.json.JSONObject;

/**
 * Hands an application to the ResourceManager, once.
 *
 * <p>Not through Hadoop's YarnClient: it submits again, by itself, an id that the ResourceManager
 * does not know, which for an id that was forgotten means a second run.
 */
final class Submit {

  private static final long FIRST_POLL_MS = 5;
  private static final long LAST_POLL_MS = 100;

  /** What is said to one of two submissions of an id at the same moment; to a later one, yes. */
  private static final String AT_ONCE = "already present! Cannot add a duplicate";

  private Submit() {}

  static Object run(Call call) throws Exception {
    ApplicationId id = Applications.id(call.string("application_id"));
    // Before any resource is made: learning exchanges tables that all of them use.
    call.hadoop.learnResourceTypes();
    ApplicationSubmissionContext context = new SubmissionContext(call, id).build();
    ApplicationClientProtocol resourceManager = call.hadoop.resourceManager();
    call.submissionUnderWay = true;
    try {
      resourceManager.submitApplication(SubmitApplicationRequest.newInstance(context));
    } catch (Exception e) {
      if (!Errors.type(e).equals(Errors.CLUSTER_UNAVAILABLE)
          && !String.valueOf(e.getMessage()).contains(AT_ONCE)
          && !(Errors.unwrap(e) instanceof InterruptedException)) {
        throw refusal(e);
      }
      // The request may have arrived although its answer did not.
      lookUpAfter(e, resourceManager, id);
    }
    return awaitAccepted(call, resourceManager, id);
  }

  /**
   * Returns if the ResourceManager has the application after all. Where it does not, the one that
   * took the request may have died with it.
   */
  private static void lookUpAfter(
      Exception failure, ApplicationClientProtocol resourceManager, ApplicationId id)
      throws Exception {
    try {
      Applications.fetch(resourceManager, id);
    } catch (Exception e) {
      throw neverConnected(failure) ? failure : new SubmissionUncertain(failure);
    }
  }

  /** No connection came about, so nothing can have been submitted. */
  private static boolean neverConnected(Exception failure) {
    return Errors.hasCause(failure, java.net.ConnectException.class)
        || Errors.hasCause(failure, java.net.UnknownHostException.class)
        || Errors.hasCause(failure, java.net.NoRouteToHostException.class);
  }

  private static Object awaitAccepted(
      Call call, ApplicationClientProtocol resourceManager, ApplicationId id) throws Exception {
    long pause = FIRST_POLL_MS;
    while (true) {
      ApplicationReport report;
      try {
        report = Applications.fetch(resourceManager, id);
      } catch (Exception e) {
        throw new SubmissionUncertain(e);
      }
      YarnApplicationState state = report.getYarnApplicationState();
      boolean ended = state == YarnApplicationState.FAILED || state == YarnApplicationState.KILLED;
      if (ended && Applications.attempt(report) == 0) {
        throw new SubmissionRejected(words(report));
      }
      if (ended
          || state == YarnApplicationState.ACCEPTED
          || state == YarnApplicationState.RUNNING
          || state == YarnApplicationState.FINISHED) {
        return new JSONObject()
            .put("application_id", id.toString())
            .put("state", state.name())
            .put("diagnostics", report.getDiagnostics() == null ? "" : report.getDiagnostics());
      }
      if (call.remainingMs() <= pause) {
        throw new SubmissionUncertain(new TimeoutException());
      }
      Thread.sleep(pause);
      pause = Math.min(2 * pause, LAST_POLL_MS);
    }
  }

  private static String words(ApplicationReport report) {
    String diagnostics = report.getDiagnostics();
    return diagnostics == null || diagnostics.trim().isEmpty()
        ? "the ResourceManager ended it as "
            + report.getYarnApplicationState()
            + " and gave no reason"
        : diagnostics.trim();
  }

  /**
   * What the ResourceManager says to a request that it does not even look at is a rejection too.
   */
  private static Exception refusal(Exception failure) {
    Throwable actual = Errors.unwrap(failure);
    boolean answered = actual instanceof YarnException || actual instanceof RemoteException;
    if (!answered || !Errors.type(actual).equals(Errors.INTERNAL)) {
      return failure;
    }
    SubmissionRejected rejected = new SubmissionRejected(Errors.message(actual));
    rejected.initCause(actual);
    return rejected;
  }
}
