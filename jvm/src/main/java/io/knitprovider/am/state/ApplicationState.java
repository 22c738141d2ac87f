package io.knitprovider.am.state;

import io.knitprovider.am.Clock;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;
import io.knitprovider.common.Json;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * What the application wants, has and has come to. Knows nothing of Hadoop and starts nothing: it
 * is told what happened and answers what is wanted now. Everything a later attempt must know goes
 * to the journal in the order in which it was decided. Safe to use from any thread.
 */
public final class ApplicationState {

  /** A container that ends sooner than this after its launch, in milliseconds, failed at once. */
  private static final long QUICK_MS = 10_000;

  private static final long MOST_DELAY_MS = 30_000;

  /**
   * Launches in a row that may go wrong without the program's fault before it counts all the same.
   */
  private static final int MOST_LAUNCH_FAILURES = 10;

  final Clock clock;
  final JournalSink journal;
  final Map<String, ServiceState> services = new LinkedHashMap<>();
  final ContainerBook book = new ContainerBook();

  /** What the application's parts tell each other. */
  public final KeyValueStore values;

  private final boolean hasMasterScript;
  private final List<AskGroup> groups = new ArrayList<>();
  private final List<ContainerRecord> stops = new ArrayList<>();
  private final CountDownLatch ended = new CountDownLatch(1);
  private Outcome outcome;
  private Resources most;

  public ApplicationState(ApplicationSpec spec, Clock clock, JournalSink journal) {
    this.clock = clock;
    this.journal = journal;
    this.values = new KeyValueStore(journal);
    this.hasMasterScript = spec.masterScript != null;
    for (ServiceSpec service : spec.services) {
      services.put(service.name, new ServiceState(service));
    }
  }

  /** Lets the first services want their containers; to be called once, after any recovery. */
  public synchronized void begin() {
    advance();
  }

  /**
   * Refuses, from now on, containers that no node of the cluster may run.
   *
   * @return what is wrong with the services as they are, or null
   */
  public synchronized String limit(Resources maximum) {
    most = maximum;
    for (ServiceState service : services.values()) {
      String excess = excess(service.spec.name, service.spec.resources);
      if (service.spec.instances > 0 && excess != null) {
        return excess;
      }
    }
    return null;
  }

  /**
   * How many containers of each kind are to be asked for now; also the kinds that are down to 0.
   */
  public synchronized Map<AskGroup, Integer> wanted() {
    Map<AskGroup, Integer> wanted = new LinkedHashMap<>();
    for (AskGroup group : groups) {
      wanted.put(group, 0);
    }
    if (outcome != null) {
      return wanted;
    }
    long now = clock.monotonicMs();
    for (ServiceState service : services.values()) {
      for (Instance instance : service.all()) {
        if (instance.state == Instance.State.WANTED && instance.notBefore <= now) {
          wanted.merge(group(service.spec, instance.resources), 1, Integer::sum);
        }
      }
    }
    return wanted;
  }

  /** Whether anything waits for a container, be it only for the time to ask for one. */
  public synchronized boolean wantsAny() {
    if (outcome == null) {
      for (ServiceState service : services.values()) {
        if (service.count(Instance.State.WANTED) > 0) {
          return true;
        }
      }
    }
    return false;
  }

  private AskGroup group(ServiceSpec service, Resources resources) {
    for (AskGroup group : groups) {
      if (group.service == service && group.resources.equals(resources)) {
        return group;
      }
    }
    AskGroup group = new AskGroup(groups.size() + 1L, service, resources);
    groups.add(group);
    return group;
  }

  /**
   * Gives a container to the instance that wants it.
   *
   * @return what to launch, or null where nobody wants the container any more
   */
  public synchronized ContainerRecord place(
      AskGroup group, String id, String node, String nodeHttp, Resources given) {
    ServiceState service = services.get(group.service.name);
    long now = clock.monotonicMs();
    Instance instance = outcome == null ? service.nextWanted(group.resources, now) : null;
    if (instance == null || book.get(id) != null) {
      return null;
    }
    ContainerRecord record =
        new ContainerRecord(id, service.spec.name, instance.index, node, nodeHttp, given);
    record.startedMs = clock.wallMs();
    record.placedAt = now;
    record.held = true;
    book.put(record);
    instance.state = Instance.State.STARTING;
    instance.container = id;
    journal.write(record.launchEntry(record.startedMs));
    return record;
  }

  /** Whether the container is still to be launched: it may have been removed in the meantime. */
  public synchronized boolean isLaunchable(String id) {
    ContainerRecord record = book.get(id);
    return outcome == null
        && record != null
        && record.state == ContainerRecord.State.STARTING
        && record.leaving == null;
  }

  /**
   * The NodeManager has taken the launch.
   *
   * @return whether a service that waited for this one may start now
   */
  public synchronized boolean started(String id) {
    ContainerRecord record = book.get(id);
    if (record == null || record.state != ContainerRecord.State.STARTING) {
      return false;
    }
    record.state = ContainerRecord.State.RUNNING;
    Instance instance = instanceOf(record);
    instance.launchFailures = 0;
    if (instance.state == Instance.State.STARTING) {
      instance.state = Instance.State.RUNNING;
      instance.hasRun = true;
    }
    return advance();
  }

  /**
   * The container could not be launched; it is given back.
   *
   * @param fault whether what it was to run is to blame, and not its node
   */
  public synchronized void launchFailed(String id, boolean fault, String message) {
    ContainerRecord record = book.get(id);
    if (record == null || record.state != ContainerRecord.State.STARTING) {
      return;
    }
    Instance instance = instanceOf(record);
    stops.add(record);
    instance.launchFailures++;
    boolean counts = fault || instance.launchFailures >= MOST_LAUNCH_FAILURES;
    int status = counts ? ExitVerdict.INVALID : ExitVerdict.ABORTED;
    settle(record, status, "The launch failed: " + message);
  }

  /** YARN says that the container is over. May be said twice, or before the launch is confirmed. */
  public synchronized void completed(String id, int status, String diagnostics) {
    ContainerRecord record = book.get(id);
    if (record != null && record.isActive()) {
      settle(record, status, diagnostics == null ? "" : diagnostics);
    }
  }

  void settle(ContainerRecord record, int status, String diagnostics) {
    ServiceState service = services.get(record.service);
    Instance instance = instanceOf(record);
    boolean uncertain = instance.state == Instance.State.UNCERTAIN;
    ExitVerdict verdict = ExitVerdict.of(status);
    record.exitCode = status;
    record.finishedMs = clock.wallMs();
    book.keepDiagnostics(record, diagnostics);
    if (record.leaving != null) {
      record.state = record.leaving;
      record.exitCode = status == ExitVerdict.ABORTED ? null : (Integer) status;
    } else if (uncertain && ExitVerdict.endedWithItsAttempt(status, diagnostics)) {
      record.state = ContainerRecord.State.LOST;
      record.exitCode = null;
    } else {
      record.state = ContainerRecord.State.valueOf(verdict.kind.name());
    }
    if (instance.isActive() && record.id.equals(instance.container)) {
      conclude(service, instance, record, verdict, diagnostics);
    }
    journal.write(endEntry(record, instance, service));
    advance();
  }

  private void conclude(
      ServiceState service,
      Instance instance,
      ContainerRecord record,
      ExitVerdict verdict,
      String diagnostics) {
    if (record.state == ContainerRecord.State.STOPPED) {
      return;
    }
    if (record.state == ContainerRecord.State.SUCCEEDED) {
      instance.state = Instance.State.SUCCEEDED;
      instance.hasRun = true;
    } else if (verdict.kind == ExitVerdict.Kind.FAILED || record.exitCode == null) {
      fail(service, instance, record, diagnostics);
    } else {
      instance.state = Instance.State.WANTED;
    }
  }

  private void fail(
      ServiceState service, Instance instance, ContainerRecord record, String diagnostics) {
    boolean quick = clock.monotonicMs() - record.placedAt < QUICK_MS;
    instance.quickFailures = quick ? instance.quickFailures + 1 : 0;
    if (service.mayRestart()) {
      service.restarts++;
      instance.state = Instance.State.WANTED;
      instance.notBefore = clock.monotonicMs() + delay(instance.quickFailures);
      return;
    }
    instance.state = Instance.State.FAILED;
    if (!service.spec.allowFailures) {
      String why = Diagnostics.failure(service.spec, record, diagnostics, service.restarts);
      end(record.exitCode == null ? Outcome.failed(why) : Outcome.failed(why, record.exitCode));
    }
  }

  /** None for the first two failures, so that a restart is quick; then 1, 2, 4 ... 30 seconds. */
  private static long delay(int quickFailures) {
    return quickFailures <= 1
        ? 0
        : Math.min(MOST_DELAY_MS, 1_000L << Math.min(quickFailures - 2, 10));
  }

  private JSONObject endEntry(ContainerRecord record, Instance instance, ServiceState service) {
    return new JSONObject()
        .put("event", "end")
        .put("container", record.id)
        .put("state", record.state.name())
        .put("exit_code", Json.orNull(record.exitCode))
        .put("instance", instance.state.name())
        .put("restarts", service.restarts)
        .put("time", record.finishedMs);
  }

  /**
   * Changes how many containers a service wants.
   *
   * @param instances the number wanted, or null where {@code delta} is given
   * @param delta how many more or, below 0, fewer; or null
   * @param resources what the added ones ask for, or null for the service's own
   */
  public synchronized JSONObject scale(
      String service, Integer instances, Integer delta, Resources resources) {
    return new Scaling(this).scale(service, instances, delta, resources);
  }

  /**
   * Removes these containers and lowers their services' targets; all of them or, by a throw, none.
   */
  public synchronized JSONObject remove(Collection<String> ids) {
    return new Scaling(this).remove(ids);
  }

  /**
   * Adds and removes instances by index. An index is used once: one that there is or was already is
   * not added again, so that the same request may come twice.
   *
   * @param resources what the added ones ask for, or null for the service's own
   */
  public synchronized JSONObject change(
      String service, List<Integer> add, List<Integer> remove, Resources resources) {
    return new Scaling(this).change(service, add, remove, resources);
  }

  void stop(ContainerRecord record, ContainerRecord.State as) {
    record.leaving = as;
    if (record.held) {
      stops.add(record);
    }
  }

  /** The containers to be stopped and given back since the last call. */
  public synchronized List<ContainerRecord> takeStops() {
    List<ContainerRecord> taken = new ArrayList<>(stops);
    stops.clear();
    return taken;
  }

  /** The application is over, unless it already was; nothing is asked for or launched any more. */
  public synchronized void end(Outcome how) {
    if (outcome != null) {
      return;
    }
    outcome = how;
    for (ContainerRecord record : book.active()) {
      if (record.leaving == null) {
        stop(record, ContainerRecord.State.STOPPED);
      }
    }
    journal.write(how.toJson().put("event", "finish"));
    ended.countDown();
  }

  /** How the application ended, or null. */
  public synchronized Outcome outcome() {
    return outcome;
  }

  public Outcome awaitOutcome() throws InterruptedException {
    ended.await();
    return outcome();
  }

  /** Containers that have not been reported as ended. */
  public synchronized int active() {
    return book.active().size();
  }

  /** Services as the control channel shows them. */
  public synchronized JSONObject servicesView() {
    JSONObject view = new JSONObject();
    services.forEach((name, service) -> view.put(name, service.toJson()));
    return view;
  }

  public synchronized JSONArray containersView() {
    JSONArray view = new JSONArray();
    book.all().forEach(record -> view.put(record.toJson()));
    return view;
  }

  /** The containers for the ledger; those that still run were stopped by the application's end. */
  public synchronized JSONArray ledgerView() {
    JSONArray view = new JSONArray();
    for (ContainerRecord record : book.all()) {
      JSONObject brief = record.brief();
      if (record.isActive() && record.leaving != null) {
        brief.put("state", record.leaving.name());
      }
      view.put(brief);
    }
    return view;
  }

  /** The part of all instances that have ended, 0 to 1. */
  public synchronized double progress() {
    int all = 0;
    int over = 0;
    for (ServiceState service : services.values()) {
      for (Instance instance : service.all()) {
        all += instance.state == Instance.State.REMOVED ? 0 : 1;
        over += instance.state == Instance.State.SUCCEEDED ? 1 : 0;
        over += instance.state == Instance.State.FAILED ? 1 : 0;
      }
    }
    return all == 0 ? 0 : (double) over / all;
  }

  /** The node's host:port, or null where the container is unknown or already over. */
  public synchronized String nodeOf(String id) {
    ContainerRecord record = book.get(id);
    return record == null || !record.isActive() ? null : record.node;
  }

  /**
   * Whether the container's node can be done without. Not where few nodes will do for its service,
   * or where another one is tied to that very node: it would wait, and nobody would know for what.
   */
  public synchronized boolean isReplaceable(String id) {
    ContainerRecord record = book.get(id);
    if (record == null || services.get(record.service).spec.isTied()) {
      return false;
    }
    int colon = record.node.lastIndexOf(':');
    String host = colon < 0 ? record.node : record.node.substring(0, colon);
    return services.values().stream()
        .noneMatch(service -> service.spec.isTied() && service.spec.nodes.contains(host));
  }

  /** One line about a container, for the log. */
  public synchronized String describe(String id) {
    ContainerRecord record = book.get(id);
    return record.id
        + " ("
        + record.service
        + " "
        + record.index
        + ", "
        + record.node
        + ") "
        + record.state
        + (record.exitCode == null ? "" : ", exit code " + record.exitCode);
  }

  Instance instanceOf(ContainerRecord record) {
    return services.get(record.service).get(record.index);
  }

  /**
   * Lets services go whose dependencies are up, and ends the application when all is done.
   *
   * @return whether any service was let go
   */
  boolean advance() {
    boolean any = false;
    for (boolean moved = true; moved; ) {
      moved = false;
      for (ServiceState service : services.values()) {
        if (!service.released && dependenciesAreUp(service)) {
          service.release();
          moved = true;
          any = true;
        }
      }
    }
    boolean allDone = services.values().stream().allMatch(ServiceState::isDone);
    boolean ended = services.values().stream().anyMatch(ServiceState::endsApplication);
    if (ended || (allDone && !hasMasterScript)) {
      end(Outcome.succeeded(summary()));
    }
    return any;
  }

  private boolean dependenciesAreUp(ServiceState service) {
    for (String dependency : service.spec.dependsOn) {
      if (!services.get(dependency).isUp()) {
        return false;
      }
    }
    return true;
  }

  private String summary() {
    int succeeded = 0;
    int failed = 0;
    for (ServiceState service : services.values()) {
      succeeded += service.count(Instance.State.SUCCEEDED);
      failed += service.count(Instance.State.FAILED);
    }
    return succeeded
        + (succeeded == 1 ? " instance succeeded" : " instances succeeded")
        + (failed == 0 ? "" : ", " + failed + " failed, which allow_failures forgives");
  }

  String excess(String service, Resources resources) {
    String what = most == null ? null : resources.excessOver(most);
    return what == null ? null : "service " + service + " asks for " + what;
  }
}
