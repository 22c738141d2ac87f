package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.common.Json;
import java.util.Collection;
import java.util.HashSet;
import java.util.Set;
import org.json.JSONObject;

/**
 * Takes over from an earlier attempt: what its journal says, and which of its containers live on.
 * An instance that was launched or has finished is not run again unless its service has restarts
 * left.
 */
public final class Recovery {

  private final ApplicationState state;
  private final Set<String> unheard = new HashSet<>();
  private Outcome outcome;
  private boolean detached;
  private boolean masterStarted;

  public Recovery(ApplicationState state) {
    this.state = state;
  }

  /**
   * Applies one entry of an earlier attempt; all of them, oldest first. Applying all of them again
   * changes nothing.
   */
  public void replay(JSONObject entry) {
    synchronized (state) {
      apply(entry);
    }
  }

  /** All entries have been applied. */
  public void replayed() {
    synchronized (state) {
      state.values.leap();
      state.book.active().forEach(record -> unheard.add(record.id));
    }
  }

  /** What an earlier attempt had decided on when it ended, or null. */
  public Outcome outcome() {
    return outcome;
  }

  /** Whether somebody has freed the application from its lease. */
  public boolean detached() {
    return detached;
  }

  /** Whether an earlier attempt started the script that runs beside the ApplicationMaster. */
  public boolean masterStarted() {
    return masterStarted;
  }

  private void apply(JSONObject entry) {
    switch (Json.string(entry, "event", "")) {
      case "launch":
        launched(entry);
        break;
      case "end":
        ended(entry);
        break;
      case "add":
        added(entry);
        break;
      case "remove":
        removed(entry);
        break;
      case "detach":
        detached = true;
        break;
      case "master":
        masterStarted = true;
        break;
      case "kv":
        state.values.replay(entry);
        break;
      case "finish":
        outcome = Outcome.parse(entry);
        break;
      default:
        break;
    }
  }

  private void launched(JSONObject entry) {
    ContainerRecord record = ContainerRecord.fromLaunchEntry(entry);
    ServiceState service = state.services.get(record.service);
    if (service == null || state.book.get(record.id) != null) {
      return;
    }
    service.release();
    Instance instance = instance(service, record.index, service.spec.resources);
    instance.state = Instance.State.UNCERTAIN;
    instance.container = record.id;
    record.state = ContainerRecord.State.RUNNING;
    record.placedAt = state.clock.monotonicMs();
    state.book.put(record);
  }

  private void ended(JSONObject entry) {
    ContainerRecord record = state.book.get(Json.string(entry, "container"));
    if (record == null) {
      return;
    }
    record.state = ContainerRecord.State.valueOf(Json.string(entry, "state"));
    record.exitCode =
        Json.has(entry, "exit_code") ? (Integer) (int) Json.integer(entry, "exit_code") : null;
    record.finishedMs = Json.integer(entry, "time", 0);
    ServiceState service = state.services.get(record.service);
    service.restarts = Math.max(service.restarts, (int) Json.integer(entry, "restarts", 0));
    Instance instance = service.get(record.index);
    if (record.id.equals(instance.container)) {
      Instance.State said = Instance.State.valueOf(Json.string(entry, "instance"));
      instance.state = said == Instance.State.WANTED || !said.isOpen() ? said : instance.state;
      instance.hasRun = instance.hasRun || said == Instance.State.SUCCEEDED;
    }
  }

  private void added(JSONObject entry) {
    ServiceState service = state.services.get(Json.string(entry, "service"));
    if (service == null) {
      return;
    }
    Resources resources = Resources.parse(entry, "resources", service.spec.resources);
    for (Object index : entry.getJSONArray("indices")) {
      instance(service, ((Number) index).intValue(), resources);
    }
  }

  private void removed(JSONObject entry) {
    ServiceState service = state.services.get(Json.string(entry, "service"));
    if (service == null) {
      return;
    }
    Instance instance =
        instance(service, (int) Json.integer(entry, "index"), service.spec.resources);
    instance.state = Instance.State.REMOVED;
    ContainerRecord record = instance.container == null ? null : state.book.get(instance.container);
    if (record != null && record.isActive()) {
      record.leaving = ContainerRecord.State.REMOVED;
    }
  }

  private static Instance instance(ServiceState service, int index, Resources resources) {
    Instance instance = service.get(index);
    return instance == null ? service.put(index, resources) : instance;
  }

  /**
   * Takes the containers that YARN says live on. It may say so in several parts.
   *
   * @return those of them that no journal knows, which have to go
   */
  public Set<String> adopt(Collection<String> alive) {
    synchronized (state) {
      Set<String> strangers = new HashSet<>();
      for (String id : alive) {
        ContainerRecord record = state.book.get(id);
        if (record == null || !record.isActive()) {
          strangers.add(id);
        } else if (unheard.remove(id)) {
          adopt(record);
        }
      }
      state.advance();
      return strangers;
    }
  }

  private void adopt(ContainerRecord record) {
    Instance instance = state.instanceOf(record);
    record.held = true;
    if (record.leaving != null) {
      state.stop(record, record.leaving);
    } else if (instance.state == Instance.State.UNCERTAIN) {
      instance.state = Instance.State.RUNNING;
      instance.hasRun = true;
    }
  }

  /** Containers that earlier attempts launched and of which nobody has heard. */
  public Set<String> unheard() {
    synchronized (state) {
      unheard.removeIf(id -> !state.book.get(id).isActive());
      return new HashSet<>(unheard);
    }
  }

  /**
   * Stops waiting for news of the instances that nobody has spoken of: each counts as a failure.
   */
  public void giveUp() {
    synchronized (state) {
      for (String id : unheard) {
        ContainerRecord record = state.book.get(id);
        if (record.isActive()) {
          state.settle(record, ExitVerdict.KILLED_BY_AM, "");
        }
      }
      unheard.clear();
    }
  }
}
