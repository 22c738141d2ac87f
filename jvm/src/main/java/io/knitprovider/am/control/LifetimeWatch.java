package io.knitprovider.am.control;

import io.knitprovider.am.Log;
import java.io.IOException;

/**
 * Ends an application whose lifetime is over, if YARN does not. A submission by REST cannot carry a
 * lifetime: the client sets it with a second call, and may be gone before.
 */
public final class LifetimeWatch {

  /** Whether YARN may know nothing of the lifetime. */
  public interface Unset {
    boolean get() throws IOException;
  }

  /** Where YARN knows, it is given the time to say so itself. */
  private static final long GRACE_MS = 15_000;

  private static final long RETRY_MS = 10_000;

  private LifetimeWatch() {}

  /**
   * Starts a thread.
   *
   * @param leftMs how much of the lifetime is left
   * @param onExpiry what to do when it is over and YARN has not acted
   */
  public static void start(long leftMs, Unset unset, Runnable onExpiry) {
    start(leftMs, GRACE_MS, unset, onExpiry);
  }

  static Thread start(long leftMs, long graceMs, Unset unset, Runnable onExpiry) {
    Thread thread =
        new Thread(
            () -> {
              try {
                Thread.sleep(Math.max(0, leftMs) + graceMs);
                awaitVerdict(unset, onExpiry);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "lifetime");
    thread.setDaemon(true);
    thread.start();
    return thread;
  }

  private static void awaitVerdict(Unset unset, Runnable onExpiry) throws InterruptedException {
    while (true) {
      try {
        if (unset.get()) {
          onExpiry.run();
        }
        return;
      } catch (IOException e) {
        Log.warn("nobody can tell whether YARN knows of the lifetime, asking again", e);
        Thread.sleep(RETRY_MS);
      }
    }
  }
}
