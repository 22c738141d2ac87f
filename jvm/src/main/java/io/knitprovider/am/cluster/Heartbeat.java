package io.knitprovider.am.cluster;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.AskGroup;
import io.knitprovider.am.state.ContainerRecord;
import io.knitprovider.am.state.ExitVerdict;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.store.Journal;
import io.knitprovider.common.Errors;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.DoubleSupplier;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse;
import org.apache.hadoop.yarn.api.records.AMCommand;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerStatus;
import org.apache.hadoop.yarn.api.records.NodeId;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;
import org.apache.hadoop.yarn.exceptions.ApplicationAttemptNotFoundException;
import org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException;
import org.apache.hadoop.yarn.exceptions.YarnException;

/**
 * The one loop that talks to the ResourceManager: carries what is wanted there, and what was given
 * and what has ended back.
 */
public final class Heartbeat {

  /** So many containers that end together get a line each. */
  private static final int MOST_LINES = 5;

  private final AMRMClient<ContainerRequest> client;
  private final ContainerRequests requests;
  private final ApplicationState state;
  private final Journal journal;
  private final Clock clock;
  private final DoubleSupplier progress;
  private final Runnable onDisowned;
  private final NodeExclusion exclusion = new NodeExclusion();
  private final Pace pace;
  private final Thread thread = new Thread(this::run, "heartbeat");
  private final Contact contact = new Contact();

  /** What came before earlier attempts' decisions were known; YARN says it once. */
  private final List<AllocateResponse> heldBack = new ArrayList<>();

  /** Told of earlier attempts' containers that turn up; null until their decisions are known. */
  private Consumer<List<Container>> onSurvivors;

  private Launcher launcher;
  private boolean woken;
  private boolean stopped;
  private long failingSince = -1;

  /**
   * @param takesOver whether earlier attempts' decisions are yet to be read: until {@link
   *     #recovered} nothing is made of what YARN says of their containers
   * @param onDisowned what to do when the ResourceManager does not know this attempt any more
   */
  public Heartbeat(
      AMRMClient<ContainerRequest> client,
      boolean takesOver,
      ApplicationState state,
      Journal journal,
      Clock clock,
      DoubleSupplier progress,
      Runnable onDisowned) {
    this.client = client;
    this.onSurvivors = takesOver ? null : containers -> {};
    this.requests = new ContainerRequests(client);
    this.state = state;
    this.journal = journal;
    this.clock = clock;
    this.progress = progress;
    this.onDisowned = onDisowned;
    this.pace = new Pace(clock.monotonicMs());
  }

  /**
   * Earlier attempts' decisions are known: what YARN has said of their containers is taken now.
   *
   * @param consumer told of their containers that turn up late, as after the RM's own restart
   */
  public void recovered(Consumer<List<Container>> consumer) {
    contact.begin();
    synchronized (this) {
      onSurvivors = consumer;
    }
    wake();
  }

  /** For how long the ResourceManager has answered without a break since {@link #recovered}. */
  public long steadyMs() {
    return contact.steadyMs();
  }

  /** Whether the ResourceManager was away at any time. */
  public boolean wasAlone() {
    return contact.wasBroken();
  }

  /** Sends the first requests at once, and goes on in a thread of its own. */
  public void start(Configuration conf, LaunchContexts contexts) {
    launcher =
        new Launcher(
            () -> Launcher.client(conf),
            contexts,
            state,
            exclusion,
            client::getClusterNodeCount,
            clock,
            this::wake);
    thread.setDaemon(true);
    thread.start();
  }

  /** Ends a container that belongs to nothing we know of. */
  public void end(Container container) {
    client.releaseAssignedContainer(container.getId());
    launcher.stop(container.getId(), container.getNodeId());
  }

  /** Makes the next heartbeat due now. */
  public synchronized void wake() {
    woken = true;
    notifyAll();
  }

  /** Ends the loop; a heartbeat that hangs is broken off. */
  public void stop() throws InterruptedException {
    synchronized (this) {
      stopped = true;
      notifyAll();
    }
    thread.join(2_000);
    thread.interrupt();
    thread.join(2_000);
  }

  private void run() {
    while (!isStopped()) {
      try {
        beat();
        failingSince = -1;
      } catch (ApplicationAttemptNotFoundException e) {
        disowned("the ResourceManager does not know this attempt any more");
        return;
      } catch (InvalidResourceRequestException e) {
        state.end(Outcome.failed("YARN refuses the request for containers: " + Errors.message(e)));
      } catch (YarnException | IOException e) {
        if (isStopped() || !bear(e)) {
          return;
        }
      } catch (RuntimeException e) {
        if (isStopped()) {
          return; // broken off in the middle of a call
        }
        throw e;
      }
      pause();
    }
  }

  /** An RM that restarts or fails over is away for a while; the containers run on without it. */
  private boolean bear(Exception error) {
    long now = clock.monotonicMs();
    if (failingSince < 0) {
      failingSince = now;
      Log.warn("the heartbeat failed, trying again", error);
    } else if (now - failingSince > Registration.PATIENCE_MS) {
      disowned("the ResourceManager has not answered for 15 minutes");
      return false;
    }
    pace.event(now);
    return true;
  }

  private void disowned(String why) {
    Log.warn(why + ": leaving without a word to it");
    onDisowned.run();
  }

  private synchronized boolean isStopped() {
    return stopped;
  }

  private synchronized void pause() {
    long now = clock.monotonicMs();
    long until = now + pace.pause(now, state.wantsAny());
    try {
      while (!woken && !stopped && now < until) {
        wait(until - now);
        now = clock.monotonicMs();
      }
    } catch (InterruptedException e) {
      stopped = true;
    }
    woken = false;
  }

  /** One heartbeat. */
  void beat() throws YarnException, IOException {
    long now = clock.monotonicMs();
    takeHeldBack();
    for (ContainerRecord record : state.takeStops()) {
      client.releaseAssignedContainer(ContainerId.fromString(record.id));
      launcher.stop(ContainerId.fromString(record.id), nodeId(record.node));
      pace.event(now);
    }
    if (requests.reconcile(state.wanted())) {
      pace.event(now);
    }
    exclusion.expire(now);
    client.updateBlacklist(exclusion.takeAdded(), exclusion.takeRemoved());
    AllocateResponse response = allocate();
    if (response.getAMCommand() == AMCommand.AM_SHUTDOWN) {
      throw new ApplicationAttemptNotFoundException("told to shut down");
    }
    heldBack.add(response);
    takeHeldBack();
  }

  private AllocateResponse allocate() throws YarnException, IOException {
    long asked = clock.monotonicMs();
    try {
      AllocateResponse response = client.allocate((float) progress.getAsDouble());
      contact.answered(asked, clock.monotonicMs());
      return response;
    } catch (YarnException | IOException e) {
      contact.failed();
      throw e;
    }
  }

  private void takeHeldBack() {
    Consumer<List<Container>> consumer;
    synchronized (this) {
      consumer = onSurvivors;
    }
    if (consumer == null) {
      return;
    }
    for (AllocateResponse response : heldBack) {
      List<Container> survivors = response.getContainersFromPreviousAttempts();
      if (survivors != null && !survivors.isEmpty()) {
        consumer.accept(survivors);
      }
      takeCompleted(response.getCompletedContainersStatuses());
      takeAllocated(response.getAllocatedContainers());
    }
    heldBack.clear();
  }

  private static NodeId nodeId(String node) {
    int colon = node.lastIndexOf(':');
    return NodeId.newInstance(
        node.substring(0, colon), Integer.parseInt(node.substring(colon + 1)));
  }

  private void takeCompleted(List<ContainerStatus> statuses) {
    long now = clock.monotonicMs();
    int unsaid = 0;
    for (ContainerStatus status : statuses) {
      String id = status.getContainerId().toString();
      String node = state.nodeOf(id);
      if (node == null) {
        continue;
      }
      pace.event(now);
      ExitVerdict verdict = ExitVerdict.of(status.getExitStatus());
      if (state.isReplaceable(id)) {
        exclusion.note(node, verdict.blame, client.getClusterNodeCount(), now);
      }
      state.completed(id, status.getExitStatus(), status.getDiagnostics());
      boolean failed = verdict.kind == ExitVerdict.Kind.FAILED;
      if (failed || statuses.size() <= MOST_LINES) {
        Log.info(state.describe(id));
      } else {
        unsaid++;
      }
    }
    if (unsaid > 0) {
      Log.info(unsaid + " containers ended");
    }
  }

  private void takeAllocated(List<Container> containers) {
    List<ContainerRecord> launches = new ArrayList<>();
    for (Container container : containers) {
      AskGroup group = requests.match(container);
      String node = container.getNodeId().toString();
      ContainerRecord record = null;
      if (group != null && !exclusion.contains(node)) {
        launcher.keep(container);
        record =
            state.place(
                group,
                container.getId().toString(),
                node,
                container.getNodeHttpAddress(),
                Registration.read(container.getResource()));
      }
      if (record == null) {
        launcher.forget(container);
        client.releaseAssignedContainer(container.getId());
      } else {
        launches.add(record);
      }
    }
    if (!launches.isEmpty()) {
      pace.event(clock.monotonicMs());
      Log.info("given " + launches.size() + (launches.size() == 1 ? " container" : " containers"));
      // Launched only once a later attempt would know of it.
      journal.afterFlush(() -> launches.forEach(launcher::launch));
    }
  }
}
