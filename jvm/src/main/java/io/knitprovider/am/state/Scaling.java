package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.common.InvalidInput;
import java.util.Collection;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;

/** More containers or fewer, at somebody's wish. To be used with the state's lock held. */
final class Scaling {

  private final ApplicationState state;

  Scaling(ApplicationState state) {
    this.state = state;
  }

  JSONObject scale(String name, Integer instances, Integer delta, Resources resources) {
    ServiceState service = service(name);
    int target = service.target();
    int change = delta != null ? Math.max(delta, -target) : instances - target;
    JSONArray added = new JSONArray();
    JSONArray removed = new JSONArray();
    if (change > 0) {
      Resources each = allowed(service, resources);
      service.grow(change, each).forEach(added::put);
      noteAdded(name, added, each);
    }
    for (Instance victim : service.victims(-Math.min(change, 0))) {
      ContainerRecord container = activeContainer(victim);
      if (container != null) {
        removed.put(container.id);
      }
      remove(service, victim);
    }
    state.advance();
    return new JSONObject()
        .put("service", name)
        .put("target", service.target())
        .put("added", added)
        .put("removed", removed);
  }

  /** Adds and removes instances by index, each at most once; all of it or, by a throw, nothing. */
  JSONObject change(String name, List<Integer> add, List<Integer> remove, Resources resources) {
    ServiceState service = service(name);
    Resources each = add.isEmpty() ? null : allowed(service, resources);
    JSONArray added = new JSONArray();
    for (int index : add) {
      if (service.get(index) == null) {
        service.put(index, each);
        added.put(index);
      }
    }
    if (!added.isEmpty()) {
      noteAdded(name, added, each);
    }
    JSONArray removed = new JSONArray();
    for (int index : remove) {
      Instance instance = service.get(index);
      if (instance != null && instance.isActive()) {
        remove(service, instance);
        removed.put(index);
      }
    }
    state.advance();
    JSONArray active = new JSONArray();
    for (Instance instance : service.all()) {
      if (instance.isActive()) {
        active.put(instance.index);
      }
    }
    return new JSONObject()
        .put("service", name)
        .put("target", service.target())
        .put("added", added)
        .put("removed", removed)
        .put("active", active)
        .put("next", service.nextIndex());
  }

  private ServiceState service(String name) {
    ServiceState service = state.services.get(name);
    if (service == null) {
      throw new InvalidInput("service is " + name + "; there are only " + state.services.keySet());
    }
    return service;
  }

  private Resources allowed(ServiceState service, Resources resources) {
    Resources each = resources == null ? service.spec.resources : resources;
    String excess = state.excess(service.spec.name, each);
    if (excess != null) {
      throw new InvalidInput(excess);
    }
    return each;
  }

  private void noteAdded(String service, JSONArray indices, Resources each) {
    state.journal.write(
        new JSONObject()
            .put("event", "add")
            .put("service", service)
            .put("indices", indices)
            .put("resources", each.toJson()));
  }

  /**
   * Removes these containers and lowers their services' targets; all of them or, by a throw, none.
   */
  JSONObject remove(Collection<String> ids) {
    for (String id : ids) {
      if (state.book.get(id) == null) {
        throw new UnknownContainer("container " + id + " does not belong to this application");
      }
    }
    JSONArray removed = new JSONArray();
    JSONObject targets = new JSONObject();
    for (String id : ids) {
      ContainerRecord record = state.book.get(id);
      Instance instance = state.instanceOf(record);
      if (record.isActive() && instance.isActive()) {
        remove(state.services.get(record.service), instance);
        removed.put(id);
      }
      targets.put(record.service, state.services.get(record.service).target());
    }
    state.advance();
    return new JSONObject().put("removed", removed).put("services", targets);
  }

  private void remove(ServiceState service, Instance instance) {
    ContainerRecord container = activeContainer(instance);
    instance.state = Instance.State.REMOVED;
    if (container != null) {
      state.stop(container, ContainerRecord.State.REMOVED);
    }
    state.journal.write(
        new JSONObject()
            .put("event", "remove")
            .put("service", service.spec.name)
            .put("index", instance.index));
  }

  private ContainerRecord activeContainer(Instance instance) {
    ContainerRecord record = instance.container == null ? null : state.book.get(instance.container);
    return record != null && record.isActive() ? record : null;
  }
}
