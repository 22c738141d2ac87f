package io.knitprovider.am.cluster;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.ContainerRecord;
import io.knitprovider.am.state.ExitVerdict;
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
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
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
  private final NMClient client;
  private final Map<String, Container> given = new ConcurrentHashMap<>();
  private final ThreadPoolExecutor pool;
  private final ScheduledExecutorService watchdog;

  /**
   * @param nodes how many nodes the cluster has
   * @param wake makes the heartbeat look at once for what is to be done
   */
  Launcher(
      Configuration conf,
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
    client = NMClient.createNMClient();
    // Containers outlive this attempt, for the next one to take over.
    client.cleanupRunningContainersOnStop(false);
    client.init(conf);
    client.start();
    pool =
        new ThreadPoolExecutor(
            THREADS, THREADS, 10, TimeUnit.SECONDS, new LinkedBlockingQueue<>(), daemon("launch"));
    pool.allowCoreThreadTimeOut(true);
    watchdog = Executors.newSingleThreadScheduledExecutor(daemon("launch-watchdog"));
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
                failed(record, false, "no answer from " + record.node + " within 30 s");
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
    try {
      client.startContainer(container, contexts.build(record));
      return () -> {
        Log.debug("launched " + record.id + " on " + record.node);
        if (state.started(record.id)) {
          wake.run();
        }
      };
    } catch (IOException e) {
      return () -> failed(record, false, Log.describe(e));
    } catch (YarnException e) {
      return () -> failed(record, true, Log.describe(e));
    } catch (RuntimeException e) {
      return () -> failed(record, true, Log.describe(e));
    }
  }

  private void failed(ContainerRecord record, boolean fault, String message) {
    Log.warn("launching " + record.id + " on " + record.node + " failed: " + message);
    if (!fault) {
      exclusion.note(record.node, ExitVerdict.Blame.AT_ONCE, nodes.getAsInt(), clock.monotonicMs());
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
      client.stopContainer(container, node);
    } catch (IOException | YarnException | RuntimeException e) {
      // It may have ended by itself, or its node is gone. The ResourceManager ends it as well.
      Log.debug("stopping " + container + " failed: " + Log.describe(e));
    }
  }
}
