package io.knitprovider.am;

import io.knitprovider.am.cluster.Heartbeat;
import io.knitprovider.am.cluster.Registration;
import io.knitprovider.am.control.ControlServer;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.store.Journal;
import io.knitprovider.am.store.Ledger;
import java.io.IOException;

/**
 * The way out: ends what still runs, writes the outcome into the ledger, tells the ResourceManager,
 * and removes the staging folder once that is acknowledged, for then no further attempt comes.
 */
final class Ending {

  private static final long CONTAINERS_MS = 3_000;
  private static final long LEDGER_MS = 30_000;
  private static final long JOURNAL_MS = 2_000;
  private static final long STAGING_MS = 20_000;

  private final ApplicationSpec spec;
  private final ApplicationState state;
  private final Journal journal;
  private final Registration registration;
  private final Heartbeat heartbeat;
  private final ControlServer control;

  Ending(
      ApplicationSpec spec,
      ApplicationState state,
      Journal journal,
      Registration registration,
      Heartbeat heartbeat,
      ControlServer control) {
    this.spec = spec;
    this.state = state;
    this.journal = journal;
    this.registration = registration;
    this.heartbeat = heartbeat;
    this.control = control;
  }

  /**
   * Does it.
   *
   * @param script the script that runs beside us, or null
   * @return the process's exit code
   */
  int carryOut(Outcome outcome, Opening opening, MasterScript script) throws InterruptedException {
    Log.info("ending as " + outcome.finalStatus + ": " + firstLine(outcome.diagnostics));
    if (script != null) {
      script.stop();
    }
    heartbeat.wake();
    awaitContainers();
    Ledger ledger = opening.ownLedger();
    if (ledger != null) {
      within(LEDGER_MS, "writing the ledger", () -> ledger.finish(outcome, state.ledgerView()));
    }
    heartbeat.stop();
    boolean acknowledged = registration.unregister(outcome);
    if (control != null) {
      control.stop();
    }
    journal.close(JOURNAL_MS);
    if (acknowledged && opening.mayDeleteStaging()) {
      within(STAGING_MS, "removing " + spec.stagingDir, () -> opening.staging().delete());
    }
    Log.info(acknowledged ? "unregistered" : "left without an acknowledgement");
    return acknowledged ? 0 : 1;
  }

  /** Gives the containers that were told to end the time to be seen ending. */
  private void awaitContainers() throws InterruptedException {
    long until = Clock.SYSTEM.monotonicMs() + CONTAINERS_MS;
    while (state.active() > 0 && Clock.SYSTEM.monotonicMs() < until) {
      Thread.sleep(20);
    }
  }

  private interface Work {
    void run() throws IOException;
  }

  /** A filesystem that hangs must not keep the outcome from the ResourceManager. */
  private static void within(long ms, String what, Work work) throws InterruptedException {
    Thread worker =
        new Thread(
            () -> {
              try {
                work.run();
              } catch (IOException e) {
                Log.warn(what + " failed", e);
              }
            },
            "ending");
    worker.setDaemon(true);
    worker.start();
    worker.join(ms);
    if (worker.isAlive()) {
      Log.warn(what + " takes too long, going on without it");
    }
  }

  private static String firstLine(String text) {
    int end = text.indexOf('\n');
    return end < 0 ? text : text.substring(0, end);
  }
}
