package io.knitprovider.am;

import io.knitprovider.am.cluster.Heartbeat;
import io.knitprovider.am.control.Lease;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.state.Recovery;
import io.knitprovider.am.store.Journal;
import io.knitprovider.am.store.Ledger;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.yarn.api.records.Container;
import org.json.JSONObject;

/**
 * What comes between the first request for containers and the first launch: whether the ledger is
 * ours, taking over from earlier attempts, and the journal, for which launches wait.
 */
final class Opening {

  private static final String AM_FILE = "am.json";

  private final ApplicationSpec spec;
  private final ApplicationState state;
  private final Journal journal;
  private final int attempt;
  private final String ownContainer;
  private final Recovery recovery;
  private final Claiming claiming;

  Opening(
      Claiming claiming,
      ApplicationSpec spec,
      ApplicationState state,
      Journal journal,
      int attempt,
      String ownContainer) {
    this.claiming = claiming;
    this.spec = spec;
    this.state = state;
    this.journal = journal;
    this.attempt = attempt;
    this.ownContainer = ownContainer;
    this.recovery = new Recovery(state);
  }

  /**
   * Does all of it.
   *
   * @param survivors containers of earlier attempts that YARN says run on
   * @return whether the application goes on; if not, its outcome is set
   */
  boolean open(List<Container> survivors, Heartbeat heartbeat, Lease lease, ControlPanel panel)
      throws InterruptedException {
    try {
      claiming.await();
    } catch (IOException e) {
      endUnusable(e);
      return false;
    }
    if (claiming.claim() == Ledger.Claim.TAKEN) {
      state.end(
          Outcome.failed(
              spec.applicationId
                  + " has already run under another submission: "
                  + spec.ledgerFile
                  + " is its ledger. Nothing was launched; submit under a new application id."));
      return false;
    }
    if (claiming.claim() == Ledger.Claim.ALREADY_OVER) {
      state.end(claiming.ledger().outcome());
      return false;
    }
    journal.write(
        new JSONObject()
            .put("event", "attempt")
            .put("attempt", attempt)
            .put("container", ownContainer));
    if (attempt > 1) {
      try {
        claiming.readPast(recovery::replay);
      } catch (IOException e) {
        endUnusable(e);
        return false;
      }
      recover(survivors, heartbeat, lease);
      panel.recovered();
    }
    journal.open(claiming.staging(), this::endUnwritable);
    return state.outcome() == null;
  }

  private void endUnusable(IOException why) {
    state.end(
        Outcome.failed(
            "The ApplicationMaster cannot use " + spec.stagingDir + ": " + Log.describe(why)));
  }

  /** Nothing is launched that is not written down first, so nothing would ever come of it. */
  private void endUnwritable(String why) {
    state.end(
        Outcome.failed(
            "The ApplicationMaster cannot write its journal in "
                + spec.stagingDir
                + ", without which it may launch nothing: "
                + why));
  }

  private void recover(List<Container> survivors, Heartbeat heartbeat, Lease lease) {
    recovery.replayed();
    if (recovery.detached()) {
      lease.detach();
    }
    if (recovery.outcome() != null) {
      state.end(recovery.outcome());
    }
    adopt(survivors, heartbeat);
    heartbeat.recovered(later -> adopt(later, heartbeat));
    Log.info(
        "took over from an earlier attempt: "
            + survivors.size()
            + " containers run on, "
            + recovery.unheard().size()
            + " not heard of yet");
    state.begin();
    heartbeat.wake();
    if (!recovery.unheard().isEmpty()) {
      Thread waiter = new Thread(() -> giveUpLater(heartbeat), "recovery");
      waiter.setDaemon(true);
      waiter.start();
    }
  }

  private void adopt(List<Container> containers, Heartbeat heartbeat) {
    List<String> ids = new ArrayList<>();
    containers.forEach(container -> ids.add(container.getId().toString()));
    Set<String> strangers = recovery.adopt(ids);
    for (Container container : containers) {
      if (strangers.contains(container.getId().toString())) {
        Log.info("ending " + container.getId() + ", which no journal knows");
        heartbeat.end(container);
      }
    }
  }

  private void giveUpLater(Heartbeat heartbeat) {
    try {
      Set<String> unheard = recovery.unheard();
      while (!unheard.isEmpty()
          && !Silence.tells(unheard, ownContainer, heartbeat.steadyMs(), heartbeat.wasAlone())) {
        Thread.sleep(200);
        unheard = recovery.unheard();
      }
      recovery.giveUp();
      heartbeat.wake();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Says in the staging folder where we are, for those who cannot ask the ResourceManager. */
  void publish(String host, int port) {
    JSONObject address =
        new JSONObject()
            .put("version", 1)
            .put("attempt", attempt)
            .put("host", host)
            .put("port", port);
    try {
      claiming.staging().replace(AM_FILE, address.toString());
    } catch (IOException e) {
      Log.warn("am.json cannot be written; the ResourceManager's report says the same", e);
    }
  }

  boolean masterStarted() {
    return recovery.masterStarted();
  }
}
