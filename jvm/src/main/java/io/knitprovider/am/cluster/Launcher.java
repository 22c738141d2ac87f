package io.knitprovider.am.cluster;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.ContainerRecord;
import io.knitprovider.am.state.ExitVerdict.Blame;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntSupplier;
import java.util.function.Supplier;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.NodeId;
import org.apache.hadoop.yarn.client.api.NMClient;
import org.apache.hadoop.yarn.exceptions.YarnException;

/** Starts and stops containers on their nodes, many at a time, and gives up on nodes that hang. */
public final class Launcher {

  private static final int THREADS = 32;

  /** A launch takes some 15 ms; YARN itself would wait for minutes. */
  private static final long STUCK_MS = 30_000;

  private final LaunchContexts contexts;
  private final ApplicationState state;
  private final NodeExclusion exclusion;
  private final IntSupplier nodes;
  private final Clock clock;
  private final Runnable wake;
  private final NodeClients clients;
  private final Map<String, Container> given = new ConcurrentHashMap<>();
  private final ThreadPoolExecutor pool;
  private final ScheduledExecutorService watchdog;

  /**
   * @param client makes what speaks to the NodeManagers, started
   * @param nodes how many nodes the cluster has
   * @param wake makes the heartbeat look at once for what is to be done
   */
  Launcher(
      Supplier<NMClient> client,
      LaunchContexts contexts,
      ApplicationState state,
      NodeExclusion exclusion,
      IntSupplier nodes,
      Clock clock,
      Runnable wake) {
    this.contexts = contexts;
    this.state = state;
    this.exclusion = exclusion;
    this.nodes = nodes;
    this.clock = clock;
    this.wake = wake;
    pool =
        new ThreadPoolExecutor(
            THREADS, THREADS, 10, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), daemon("launch"));
    pool.allowCoreThreadTimeOut(true);
    watchdog = Executors.newSingleThreadScheduledExecutor(daemon("launch-watchdog"));
    clients = new NodeClients(client, watchdog);
  }

  /** Hadoop's own client. */
  static NMClient client(Configuration conf) {
    NMClient client = NMClient.createNMClient();
    // Containers outlive this attempt, for the next one to take over.
    client.cleanupRunningContainersOnStop(false);
    client.init(conf);
    client.start();
    return client;
  }

  private static ThreadFactory daemon(String name) {
    return work -> {
      Thread thread = new Thread(work, name);
      thread.setDaemon(true);
      return thread;
    };
  }

  /** Keeps a container that YARN has given until it is time to launch it. */
  void keep(Container container) {
    given.put(container.getId().toString(), container);
  }

  /** Lets go of a container that nobody wanted after all. */
  void forget(Container container) {
    given.remove(container.getId().toString());
  }

  /** Launches a container that was kept, unless it is unwanted by now. */
  void launch(ContainerRecord record) {
    Container container = given.remove(record.id);
    pool.execute(() -> launch(record, container));
  }

  private void launch(ContainerRecord record, Container container) {
    if (!state.isLaunchable(record.id)) {
      return;
    }
    Thread launching = Thread.currentThread();
    AtomicBoolean over = new AtomicBoolean();
    ScheduledFuture<?> alarm =
        watchdog.schedule(
            () -> {
              if (over.compareAndSet(false, true)) {
                failed(
                    record, false, Blame.AT_ONCE, "no answer from " + record.node + " within 30 s");
                launching.interrupt();
              }
            },
            STUCK_MS,
            TimeUnit.MILLISECONDS);
    Runnable report = start(record, container);
    if (over.compareAndSet(false, true)) {
      alarm.cancel(false);
      report.run();
    }
    Thread.interrupted(); // the alarm may have rung too late; the pool uses this thread again
  }

  /** Talks to the NodeManager; what there is to report comes back, for whoever is in time. */
  private Runnable start(ContainerRecord record, Container container) {
    ContainerLaunchContext context;
    try {
      context = contexts.build(record);
    } catch (RuntimeException e) {
      return () -> failed(record, true, Blame.NONE, Log.describe(e));
    }
    try {
      clients.forLaunch().startContainer(container, context);
      return () -> {
        Log.debug("launched " + record.id + " on " + record.node);
        if (state.started(record.id)) {
          wake.run();
        }
      };
    } catch (YarnException e) {
      // A no that need not be the node's fault: the ResourceManager was started anew, a clock is
      // wrong. What is wrong with the program or its files shows later, as the container's end.
      return () -> failed(record, false, Blame.WHEN_REPEATED, Log.describe(e));
    } catch (IOException | RuntimeException e) {
      return () -> failed(record, false, Blame.AT_ONCE, Log.describe(e));
    }
  }

  private void failed(ContainerRecord record, boolean fault, Blame blame, String message) {
    Log.warn("launching " + record.id + " on " + record.node + " failed: " + message);
    if (state.isReplaceable(record.id)) {
      exclusion.note(record.node, blame, nodes.getAsInt(), clock.monotonicMs());
    }
    state.launchFailed(record.id, fault, message);
    wake.run();
  }

  /** Ends a container at its node; the ResourceManager is told by whoever calls this. */
  void stop(ContainerId container, NodeId node) {
    FutureTask<Void> task = new FutureTask<>(() -> stopNow(container, node), null);
    pool.execute(task);
    watchdog.schedule(() -> task.cancel(true), STUCK_MS, TimeUnit.MILLISECONDS);
  }

  private void stopNow(ContainerId container, NodeId node) {
    try {
      clients.current().stopContainer(container, node);
    } catch (IOException | YarnException | RuntimeException e) {
      // It may have ended by itself, or its node is gone. The ResourceManager ends it as well.
      Log.debug("stopping " + container + " failed: " + Log.describe(e));
    }
  }
}
