package io.knitprovider.am;

import java.util.Collection;
import org.apache.hadoop.yarn.api.records.ContainerId;

/** How long nothing has to be heard of earlier attempts' containers before they count as gone. */
final class Silence {

  /** Where the ResourceManager has known of them all along. */
  static final long SHORT_MS = 10_000;

  /**
   * Where it has been started since: nodes come back to it one by one, by default within 30 s of
   * its being there, and only then does it know what runs and what has ended on them.
   */
  static final long LONG_MS = 90_000;

  /** Above it a container's number has the count of the ResourceManager's starts. */
  private static final int EPOCH_SHIFT = 40;

  private Silence() {}

  /**
   * Whether enough time has gone by.
   *
   * @param unheard ids of the containers
   * @param own id of our container, which the ResourceManager that runs now has given us
   * @param steadyMs for how long that has answered without a break
   * @param wasAway whether it was away at any time since we began
   */
  static boolean tells(Collection<String> unheard, String own, long steadyMs, boolean wasAway) {
    boolean restarted = wasAway || unheard.stream().anyMatch(id -> epoch(id) != epoch(own));
    return steadyMs >= (restarted ? LONG_MS : SHORT_MS);
  }

  private static long epoch(String container) {
    return ContainerId.fromString(container).getContainerId() >> EPOCH_SHIFT;
  }
}
