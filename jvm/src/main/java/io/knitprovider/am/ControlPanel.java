package io.knitprovider.am;

import io.knitprovider.am.control.ControlActions;
import io.knitprovider.am.control.Lease;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.KeyValueStore;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.store.Journal;
import io.knitprovider.common.Json;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * What a caller can see and do, carried out. A change is answered once a later attempt would know
 * of it, or with an error that says that one may not.
 */
final class ControlPanel implements ControlActions {

  private static final long JOURNAL_PATIENCE_MS = 10_000;

  private final ApplicationSpec spec;
  private final ApplicationState state;
  private final Journal journal;
  private final Lease lease;
  private final int attempt;
  private final String ownContainer;
  private final Runnable wake;
  private volatile boolean recovering;
  private volatile Double progress;

  ControlPanel(
      ApplicationSpec spec,
      ApplicationState state,
      Journal journal,
      Lease lease,
      int attempt,
      String ownContainer,
      Runnable wake) {
    this.spec = spec;
    this.state = state;
    this.journal = journal;
    this.lease = lease;
    this.attempt = attempt;
    this.ownContainer = ownContainer;
    this.wake = wake;
    this.recovering = attempt > 1;
  }

  /** Earlier attempts' decisions have been taken over. */
  void recovered() {
    recovering = false;
  }

  /** What somebody has said, else the part of all instances that have ended. */
  double progress() {
    Double said = progress;
    return said == null ? state.progress() : said;
  }

  @Override
  public JSONObject status() {
    Long remaining = lease.remainingMs();
    return new JSONObject()
        .put("application_id", spec.applicationId)
        .put("attempt", attempt)
        .put("state", state.outcome() != null ? "ENDING" : recovering ? "RECOVERING" : "RUNNING")
        .put("progress", progress())
        .put("bound", lease.isBound())
        .put("lease_remaining_s", Json.orNull(remaining == null ? null : remaining / 1000.0))
        .put("services", state.servicesView());
  }

  @Override
  public JSONArray containers() {
    return state.containersView();
  }

  @Override
  public JSONObject scale(String service, Integer instances, Integer delta, Resources resources) {
    JSONObject answer = state.scale(service, instances, delta, resources);
    Log.info("scaled " + service + " to " + answer.getInt("target"));
    settle();
    return answer;
  }

  @Override
  public JSONObject remove(List<String> containerIds) {
    JSONObject answer = state.remove(containerIds);
    Log.info("removed " + answer.getJSONArray("removed"));
    settle();
    return answer;
  }

  @Override
  public JSONObject change(
      String service, List<Integer> add, List<Integer> remove, Resources resources) {
    JSONObject answer = state.change(service, add, remove, resources);
    Log.info(
        "changed "
            + service
            + ": added "
            + answer.get("added")
            + ", removed "
            + answer.get("removed"));
    settle();
    return answer;
  }

  @Override
  public KeyValueStore values() {
    return state.values;
  }

  private void settle() {
    wake.run();
    keep();
  }

  @Override
  public void keep() {
    try {
      journal.mustFlush(JOURNAL_PATIENCE_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public Long renewLease() {
    lease.renew();
    return lease.remainingMs();
  }

  @Override
  public void endLease() {
    lease.detach();
    Log.info("detached: the application lives without a lease from now on");
    journal.write(new JSONObject().put("event", "detach"));
    settle();
  }

  @Override
  public void progress(double part) {
    progress = part;
  }

  @Override
  public void shutdown(Outcome outcome) {
    Log.info("told to shut down as " + outcome.finalStatus);
    state.end(outcome);
    wake.run();
  }

  @Override
  public boolean isRecovering() {
    return recovering;
  }

  @Override
  public boolean isEnding() {
    return state.outcome() != null;
  }

  @Override
  public Resources resourcesOf(String service) {
    for (ServiceSpec each : spec.services) {
      if (each.name.equals(service)) {
        return each.resources;
      }
    }
    return null;
  }

  @Override
  public String ownContainer() {
    return ownContainer;
  }
}
