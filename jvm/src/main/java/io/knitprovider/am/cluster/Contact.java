package io.knitprovider.am.cluster;

/**
 * How well the ResourceManager can be heard. Only while it answers is silence about a container
 * news, and one that has just come back learns of the nodes' containers little by little.
 */
final class Contact {

  /** An answer that takes longer than this came from one that was away meanwhile. */
  static final long BREAK_MS = 5_000;

  private long since = -1;
  private long latest = -1;
  private boolean broken;

  /** Begins to count anew. */
  synchronized void begin() {
    since = -1;
    latest = -1;
  }

  /**
   * It has answered.
   *
   * @param asked when it was asked
   */
  synchronized void answered(long asked, long now) {
    if (now - asked > BREAK_MS) {
      failed();
    }
    since = since < 0 ? now : since;
    latest = now;
  }

  /** It has not answered. */
  synchronized void failed() {
    broken = true;
    begin();
  }

  /** For how long it has answered without a break, up to its last answer. */
  synchronized long steadyMs() {
    return latest - since;
  }

  /** Whether it was ever away. */
  synchronized boolean wasBroken() {
    return broken;
  }
}
