package io.knitprovider.am.control;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import java.io.IOException;

/**
 * Ends a bound application whose lease has run out. Who cannot reach our port renews by touching a
 * file in the staging folder; the file is looked at only while nobody has renewed for a while.
 */
public final class LeaseWatch {

  /** When the file that stands for a renewal was last touched; 0 where there is none. */
  public interface Touched {
    long modified() throws IOException;
  }

  private static final long TICK_MS = 500;
  private static final long FILE_EVERY_MS = 10_000;

  private final Lease lease;
  private final Clock clock;
  private final Touched file;
  private final Runnable onExpiry;
  private long lastTouch;
  private long lookedAt;

  /**
   * @param lastTouch the file's time when this attempt began: only a later one is a renewal
   */
  public LeaseWatch(Lease lease, Clock clock, Touched file, long lastTouch, Runnable onExpiry) {
    this.lease = lease;
    this.clock = clock;
    this.file = file;
    this.lastTouch = lastTouch;
    this.onExpiry = onExpiry;
    this.lookedAt = clock.monotonicMs();
  }

  /**
   * Starts a thread for each of the two tasks: the filesystem may hang, the clock does not. The
   * lease begins anew: until the filesystem was there, nobody could have renewed it by the file.
   */
  public void start() {
    lease.renew();
    daemon("lease-file", this::lookAtFile);
    daemon("lease", this::lookAtClock);
  }

  private static void daemon(String name, Runnable work) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    thread.start();
  }

  private void lookAtClock() {
    while (lease.isBound()) {
      if (lease.isExpired()) {
        onExpiry.run();
        return;
      }
      sleep();
    }
  }

  private void lookAtFile() {
    while (lease.isBound()) {
      lookAtFileIfDue();
      sleep();
    }
  }

  /** One look, if it is time for one. */
  void lookAtFileIfDue() {
    long now = clock.monotonicMs();
    long every = Math.min(FILE_EVERY_MS, lease.seconds() * 1000L / 6);
    if (!lease.isLow() || now - lookedAt < every) {
      return;
    }
    lookedAt = now;
    try {
      long touched = file.modified();
      if (touched > lastTouch) {
        lastTouch = touched;
        lease.renew();
      }
    } catch (IOException e) {
      Log.warn("the lease file cannot be looked at", e);
    }
  }

  private static void sleep() {
    try {
      Thread.sleep(TICK_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
