package io.knitprovider.am;

/** A clock that stands still until it is moved. */
public final class FakeClock implements Clock {

  private volatile long now = 1_000_000;

  @Override
  public long wallMs() {
    return 1_700_000_000_000L + now;
  }

  @Override
  public long monotonicMs() {
    return now;
  }

  public void pass(long ms) {
    now += ms;
  }
}
