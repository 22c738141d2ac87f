package io.knitprovider.am.cluster;

/**
 * How long to wait between two heartbeats. Quick while containers are wanted, for every beat may
 * bring some; slower the longer nothing has happened, to spare the ResourceManager.
 */
final class Pace {

  private static final long QUICK_MS = 50;
  private static final long BRISK_MS = 200;
  private static final long STEADY_MS = 1_000;
  private static final long SLOW_MS = 5_000;

  /** So long after an event the quick pace is kept; in a busy cluster there is nothing to gain. */
  private static final long QUICK_FOR_MS = 3_000;

  private static final long BRISK_FOR_MS = 15_000;
  private static final long QUIET_AFTER_MS = 600_000;

  private long lastEvent;

  Pace(long now) {
    lastEvent = now;
  }

  /** Something was asked for, given, or came to its end. */
  void event(long now) {
    lastEvent = now;
  }

  /** Milliseconds until the next heartbeat. */
  long pause(long now, boolean wants) {
    long quiet = now - lastEvent;
    if (wants) {
      return quiet < QUICK_FOR_MS ? QUICK_MS : quiet < BRISK_FOR_MS ? BRISK_MS : STEADY_MS;
    }
    if (quiet >= QUIET_AFTER_MS) {
      return SLOW_MS;
    }
    return Math.max(BRISK_MS, Math.min(STEADY_MS, quiet / 10));
  }
}
