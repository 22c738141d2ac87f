package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeMap;
import org.json.JSONObject;

/** A service's instances and what they have come to. */
final class ServiceState {

  final ServiceSpec spec;

  /** Whether the services it depends on have let it go; stays true from then on. */
  boolean released;

  /** Restarts used so far, all instances together. */
  int restarts;

  private final TreeMap<Integer, Instance> instances = new TreeMap<>();

  ServiceState(ServiceSpec spec) {
    this.spec = spec;
    for (int index = 0; index < spec.instances; index++) {
      put(index, spec.resources);
    }
  }

  Instance get(int index) {
    return instances.get(index);
  }

  Collection<Instance> all() {
    return instances.values();
  }

  Instance put(int index, Resources resources) {
    Instance instance =
        new Instance(index, resources, released ? Instance.State.WANTED : Instance.State.WAITING);
    instances.put(index, instance);
    return instance;
  }

  /** A number above all that were ever used. */
  int nextIndex() {
    return instances.isEmpty() ? 0 : instances.lastKey() + 1;
  }

  /** The indices of so many new instances, each a number that was never used before. */
  List<Integer> grow(int count, Resources resources) {
    int next = nextIndex();
    List<Integer> added = new ArrayList<>();
    for (int index = next; index < next + count; index++) {
      put(index, resources);
      added.add(index);
    }
    return added;
  }

  /**
   * Who goes when there are too many: those that have no container yet, then those that start, then
   * the youngest of those that run.
   */
  List<Instance> victims(int count) {
    List<Instance> active = new ArrayList<>();
    for (Instance instance : instances.descendingMap().values()) {
      if (instance.isActive()) {
        active.add(instance);
      }
    }
    active.sort((a, b) -> Integer.compare(a.state.ordinal(), b.state.ordinal()));
    return new ArrayList<>(active.subList(0, Math.min(count, active.size())));
  }

  /** The first instance that waits for such a container and need not wait longer, or null. */
  Instance nextWanted(Resources resources, long now) {
    for (Instance instance : instances.values()) {
      if (instance.state == Instance.State.WANTED
          && instance.notBefore <= now
          && instance.resources.equals(resources)) {
        return instance;
      }
    }
    return null;
  }

  void release() {
    released = true;
    for (Instance instance : instances.values()) {
      if (instance.state == Instance.State.WAITING) {
        instance.state = Instance.State.WANTED;
      }
    }
  }

  /** Whether the services that depend on this one may start. */
  boolean isUp() {
    for (Instance instance : instances.values()) {
      if (instance.isActive() && !instance.hasRun) {
        return false;
      }
    }
    return true;
  }

  boolean mayRestart() {
    return spec.maxRestarts < 0 || restarts < spec.maxRestarts;
  }

  boolean isDone() {
    return spec.whenEmpty == ServiceSpec.WhenEmpty.FINISH && target() == 0;
  }

  /** Whether the application is over because this service is. */
  boolean endsApplication() {
    return spec.whenEmpty == ServiceSpec.WhenEmpty.END && released && target() == 0;
  }

  /** How many containers the service wants, those it has included. */
  int target() {
    int active = 0;
    for (Instance instance : instances.values()) {
      active += instance.isActive() ? 1 : 0;
    }
    return active;
  }

  int count(Instance.State state) {
    int count = 0;
    for (Instance instance : instances.values()) {
      count += instance.state == state ? 1 : 0;
    }
    return count;
  }

  JSONObject toJson() {
    int running = count(Instance.State.RUNNING);
    int target = target();
    return new JSONObject()
        .put("target", target)
        .put("pending", target - running)
        .put("running", running)
        .put("succeeded", count(Instance.State.SUCCEEDED))
        .put("failed", count(Instance.State.FAILED))
        .put("restarts", restarts);
  }
}
