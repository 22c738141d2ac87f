package io.knitprovider.am.cluster;

import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.hadoop.yarn.client.api.NMClient;

/**
 * What speaks to the NodeManagers. Hadoop's client remembers for good every container that it has
 * started and not stopped, so another one takes over now and then; any of them can stop any
 * container.
 */
final class NodeClients {

  static final int MOST_LAUNCHES = 2_000;

  /** Longer than any call is waited for. */
  private static final long RETIRE_S = 120;

  private final Supplier<NMClient> made;
  private final ScheduledExecutorService later;
  private NMClient current;
  private int launches;

  /**
   * @param made makes one that is started
   * @param later ends those that have been replaced, once nobody uses them any more
   */
  NodeClients(Supplier<NMClient> made, ScheduledExecutorService later) {
    this.made = made;
    this.later = later;
    this.current = made.get();
  }

  /** For starting one container. */
  synchronized NMClient forLaunch() {
    if (++launches > MOST_LAUNCHES) {
      NMClient old = current;
      current = made.get();
      launches = 1;
      later.schedule(old::stop, RETIRE_S, TimeUnit.SECONDS);
    }
    return current;
  }

  /** For anything else. */
  synchronized NMClient current() {
    return current;
  }
}
