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
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.hadoop.security.AccessControlException;

/**
 * The way out: ends what still runs, writes the outcome into the ledger, tells the ResourceManager,
 * and removes the staging folder once that is acknowledged, for then no further attempt comes.
 */
final class Ending {

  private static final long CONTAINERS_MS = 3_000;
  private static final long LEDGER_MS = 30_000;
  private static final long JOURNAL_MS = 2_000;
  private static final long STAGING_MS = 20_000;
  private static final long RETRY_MS = 500;

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
  int carryOut(Outcome outcome, Claiming claiming, MasterScript script)
      throws InterruptedException {
    Log.info("ending as " + outcome.finalStatus + ": " + firstLine(outcome.diagnostics));
    if (script != null) {
      script.stop();
    }
    heartbeat.wake();
    awaitContainers();
    boolean written = writeLedger(claiming.ownLedger(), outcome);
    heartbeat.stop();
    boolean acknowledged = registration.unregister(outcome);
    if (!written) {
      writeLedger(claiming.ownLedger(), outcome); // now that nobody waits for us any more
    }
    if (control != null) {
      control.stop();
    }
    journal.close(JOURNAL_MS);
    if (acknowledged && claiming.mayDeleteStaging()) {
      within(STAGING_MS, "removing " + spec.stagingDir, () -> claiming.staging().delete());
    }
    Log.info(acknowledged ? "unregistered" : "left without an acknowledgement");
    return acknowledged ? 0 : 1;
  }

  /** Whether the outcome is in the ledger, or need not be. */
  private boolean writeLedger(Ledger ledger, Outcome outcome) throws InterruptedException {
    return ledger == null
        || within(
            LEDGER_MS, "writing the ledger", () -> ledger.finish(outcome, state.ledgerView()));
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

  /**
   * Tries until it works or the time is up: a NameNode may be back in a moment, but one that hangs
   * must not keep the outcome from the ResourceManager.
   *
   * @return whether it worked
   */
  private static boolean within(long ms, String what, Work work) throws InterruptedException {
    long until = Clock.SYSTEM.monotonicMs() + ms;
    AtomicBoolean worked = new AtomicBoolean();
    Thread worker = new Thread(() -> worked.set(tryUntil(until, what, work)), "ending");
    worker.setDaemon(true);
    worker.start();
    worker.join(ms);
    if (worker.isAlive()) {
      Log.warn(what + " takes too long, going on without it");
    }
    return worked.get();
  }

  private static boolean tryUntil(long until, String what, Work work) {
    while (true) {
      try {
        work.run();
        return true;
      } catch (IOException e) {
        Log.warn(what + " failed", e);
        if (e instanceof AccessControlException || Clock.SYSTEM.monotonicMs() > until) {
          return false;
        }
      }
      try {
        Thread.sleep(RETRY_MS);
      } catch (InterruptedException e) {
        return false;
      }
    }
  }

  private static String firstLine(String text) {
    int end = text.indexOf('\n');
    return end < 0 ? text : text.substring(0, end);
  }
}
