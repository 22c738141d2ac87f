package io.knitprovider.am;

import io.knitprovider.am.cluster.ContainerCredentials;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.store.JournalReader;
import io.knitprovider.am.store.Ledger;
import io.knitprovider.am.store.Staging;
import java.io.IOException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.Consumer;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.AccessControlException;
import org.json.JSONObject;

/**
 * Opens the filesystem and claims the ledger, in a thread of its own while we register and ask for
 * containers: neither waits for the other, and the first launch waits for both.
 */
final class Claiming {

  private static final String LEASE_FILE = "lease";
  private static final String LIFETIME_FILE = "lifetime";

  /** How long the filesystem may be away when we start. */
  private static final long PATIENCE_MS = 120_000;

  private final ApplicationSpec spec;
  private final Configuration conf;
  private final int attempt;
  private final String ownContainer;
  private final Runnable first;
  private final FutureTask<Void> work = new FutureTask<>(this::claimWithPatience, null);
  private volatile Staging staging;
  private volatile Ledger ledger;
  private volatile Ledger.Claim claim;
  private volatile long leaseAtStart;

  private Claiming(
      ApplicationSpec spec, Configuration conf, int attempt, String ownContainer, Runnable first) {
    this.first = first;
    this.spec = spec;
    this.conf = conf;
    this.attempt = attempt;
    this.ownContainer = ownContainer;
  }

  /**
   * Begins.
   *
   * @param conf for the filesystem
   * @param first done before each try to use the filesystem
   */
  static Claiming start(
      ApplicationSpec spec, Configuration conf, int attempt, String ownContainer, Runnable first) {
    Claiming claiming = new Claiming(spec, conf, attempt, ownContainer, first);
    Thread thread = new Thread(claiming.work, "claim");
    thread.setDaemon(true);
    thread.start();
    return claiming;
  }

  /**
   * Waits for it.
   *
   * @throws IOException what the filesystem said last, after two minutes
   */
  void await() throws IOException, InterruptedException {
    try {
      work.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof Unusable) {
        throw ((Unusable) e.getCause()).why;
      }
      throw new IllegalStateException("claiming the ledger failed", e.getCause());
    }
  }

  private void claimWithPatience() {
    try {
      withPatience(
          () -> {
            first.run();
            claimNow();
          });
    } catch (IOException e) {
      throw new Unusable(e);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private interface Work {
    void run() throws IOException;
  }

  /** A NameNode that restarts or is in safe mode is back soon; one that forbids is not. */
  private static void withPatience(Work work) throws IOException, InterruptedException {
    long until = Clock.SYSTEM.monotonicMs() + PATIENCE_MS;
    while (true) {
      try {
        work.run();
        return;
      } catch (IOException e) {
        if (e instanceof AccessControlException || Clock.SYSTEM.monotonicMs() > until) {
          throw e;
        }
        Log.warn("the filesystem cannot be used yet, trying again", e);
      }
      Thread.sleep(1_000);
    }
  }

  private void claimNow() throws IOException {
    staging = Staging.open(spec.stagingDir, conf);
    ledger =
        new Ledger(
            staging,
            spec.ledgerFile,
            Clock.SYSTEM,
            spec.applicationId,
            spec.submissionId,
            attempt,
            ownContainer);
    Ledger.Claim found = ledger.claim();
    leaseAtStart = spec.bound ? staging.modified(LEASE_FILE) : 0;
    claim = found;
  }

  /** Lays newer tokens where the containers fetch them. */
  void layTokens(byte[] content) throws IOException {
    staging.replace(ContainerCredentials.FILE, content);
  }

  long leaseTouched() throws IOException {
    return staging.modified(LEASE_FILE);
  }

  /** Whether YARN may know nothing of the lifetime: the client removes the file once it does. */
  boolean lifetimeIsOurs() throws IOException {
    return staging.modified(LIFETIME_FILE) != 0;
  }

  long leaseAtStart() {
    return leaseAtStart;
  }

  /**
   * Reads what earlier attempts have written into their journals.
   *
   * @param each told every entry, oldest first; all of them again where the filesystem was away
   * @throws IOException what the filesystem said last, after two minutes
   */
  void readPast(Consumer<JSONObject> each) throws IOException, InterruptedException {
    withPatience(() -> JournalReader.before(attempt, staging, each));
  }

  /** Null where the filesystem could not be opened. */
  Staging staging() {
    return staging;
  }

  Ledger ledger() {
    return ledger;
  }

  /** Whose the ledger is; null as long as nobody knows. */
  Ledger.Claim claim() {
    return claim;
  }

  /** The ledger, or null where it is not ours to write. */
  Ledger ownLedger() {
    return claim == Ledger.Claim.OURS ? ledger : null;
  }

  /** Whether the staging folder may go: not while the ledger's owner may still need it. */
  boolean mayDeleteStaging() {
    return staging != null
        && claim != null
        && (claim != Ledger.Claim.TAKEN || ledger.outcome() != null);
  }

  /** Carries the filesystem's words out of the thread. */
  private static final class Unusable extends RuntimeException {

    private static final long serialVersionUID = 1;
    private final IOException why;

    private Unusable(IOException why) {
      super(why);
      this.why = why;
    }
  }
}
