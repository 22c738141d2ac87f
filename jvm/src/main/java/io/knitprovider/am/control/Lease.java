package io.knitprovider.am.control;

import io.knitprovider.am.Clock;

/**
 * The time that a bound application has left unless somebody renews it. Runs on the monotonic clock
 * from this attempt's registration, so that neither a changed clock nor an earlier attempt matters.
 */
public final class Lease {

  private final Clock clock;
  private final long lengthMs;
  private boolean bound;
  private long renewedAt;

  public Lease(Clock clock, boolean bound, int seconds) {
    this.clock = clock;
    this.bound = bound;
    this.lengthMs = seconds * 1000L;
    this.renewedAt = clock.monotonicMs();
  }

  public synchronized void renew() {
    renewedAt = clock.monotonicMs();
  }

  /** Lets the application live without anybody renewing anything. */
  public synchronized void detach() {
    bound = false;
  }

  public synchronized boolean isBound() {
    return bound;
  }

  /** Milliseconds left, never below 0; null where the application is not bound. */
  public synchronized Long remainingMs() {
    return bound ? Math.max(0, lengthMs - (clock.monotonicMs() - renewedAt)) : null;
  }

  public synchronized boolean isExpired() {
    return bound && clock.monotonicMs() - renewedAt >= lengthMs;
  }

  /** Whether a third of the lease has gone by: only then is it worth looking for other signs. */
  public synchronized boolean isLow() {
    return bound && clock.monotonicMs() - renewedAt >= lengthMs / 3;
  }

  public int seconds() {
    return (int) (lengthMs / 1000);
  }
}
