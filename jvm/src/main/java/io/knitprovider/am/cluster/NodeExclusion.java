package io.knitprovider.am.cluster;

import io.knitprovider.am.Log;
import io.knitprovider.am.state.ExitVerdict;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * Nodes that YARN is asked to spare us for a while, because containers failed there for reasons of
 * the node's. Never so many that too little of the cluster is left.
 */
final class NodeExclusion {

  private static final long EXPIRY_MS = 600_000;
  private static final int REPEATED = 2;

  private final Map<String, Long> excludedAt = new HashMap<>();
  private final Map<String, Integer> failures = new HashMap<>();
  private final List<String> added = new ArrayList<>();
  private final List<String> removed = new ArrayList<>();

  /**
   * Notes what happened on a node.
   *
   * @param node its host:port
   * @param nodes how many nodes the cluster has
   */
  synchronized void note(String node, ExitVerdict.Blame blame, int nodes, long now) {
    if (blame == ExitVerdict.Blame.NONE || excludedAt.containsKey(node)) {
      return;
    }
    int count = failures.merge(node, 1, Integer::sum);
    boolean enough = blame == ExitVerdict.Blame.AT_ONCE || count >= REPEATED;
    if (enough && excludedAt.size() < most(nodes)) {
      excludedAt.put(node, now);
      failures.remove(node);
      added.addAll(names(node));
      Log.info(
          "asking YARN for no container on "
              + node
              + " for "
              + EXPIRY_MS / 60_000
              + " minutes: "
              + (blame == ExitVerdict.Blame.AT_ONCE
                  ? "the node is not well"
                  : count + " containers failed there"));
    }
  }

  /** A third of the nodes, and one even of two or three. */
  private static int most(int nodes) {
    return nodes <= 1 ? 0 : Math.max(1, nodes / 3);
  }

  /** Forgives what is long ago; to be called now and then. */
  synchronized void expire(long now) {
    for (Iterator<Map.Entry<String, Long>> each = excludedAt.entrySet().iterator();
        each.hasNext(); ) {
      Map.Entry<String, Long> node = each.next();
      if (now - node.getValue() >= EXPIRY_MS) {
        each.remove();
        removed.addAll(names(node.getKey()));
      }
    }
  }

  /** Whether a container given on this node is better given back. */
  synchronized boolean contains(String node) {
    return excludedAt.containsKey(node);
  }

  /** Names excluded since the last call. */
  synchronized List<String> takeAdded() {
    return take(added);
  }

  /** Names forgiven since the last call. */
  synchronized List<String> takeRemoved() {
    return take(removed);
  }

  private static List<String> take(List<String> from) {
    List<String> taken = new ArrayList<>(from);
    from.clear();
    return taken;
  }

  /** The scheduler knows a node by its host or, where the cluster says so, by host and port. */
  private static List<String> names(String node) {
    List<String> names = new ArrayList<>();
    names.add(node);
    int colon = node.lastIndexOf(':');
    if (colon > 0) {
      names.add(node.substring(0, colon));
    }
    return names;
  }
}
