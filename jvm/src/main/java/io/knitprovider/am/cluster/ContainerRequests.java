package io.knitprovider.am.cluster;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;
import io.knitprovider.am.state.AskGroup;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.Priority;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;

/**
 * Keeps what YARN is asked for equal to what is wanted. Every kind of container has an allocation
 * request id of its own, so what comes back belongs to exactly one kind, and each container given
 * takes one request away: YARN repeats those that are left standing.
 */
final class ContainerRequests {

  private final AMRMClient<ContainerRequest> client;
  private final Map<Long, AskGroup> groups = new HashMap<>();
  private final Map<Long, Deque<ContainerRequest>> open = new HashMap<>();

  ContainerRequests(AMRMClient<ContainerRequest> client) {
    this.client = client;
  }

  /**
   * Adds and withdraws requests until they are as wanted.
   *
   * @return whether any request was added
   */
  boolean reconcile(Map<AskGroup, Integer> wanted) {
    boolean added = false;
    for (Map.Entry<AskGroup, Integer> entry : wanted.entrySet()) {
      AskGroup group = entry.getKey();
      groups.put(group.id, group);
      Deque<ContainerRequest> requests = open.computeIfAbsent(group.id, id -> new ArrayDeque<>());
      while (requests.size() > entry.getValue()) {
        client.removeContainerRequest(requests.removeLast());
      }
      while (requests.size() < entry.getValue()) {
        ContainerRequest request = request(group);
        client.addContainerRequest(request);
        requests.addLast(request);
        added = true;
      }
    }
    return added;
  }

  /** The kind that a container given by YARN answers, or null; one request of it is taken away. */
  AskGroup match(Container container) {
    Deque<ContainerRequest> requests = open.get(container.getAllocationRequestId());
    if (requests != null && !requests.isEmpty()) {
      client.removeContainerRequest(requests.removeFirst());
    }
    return groups.get(container.getAllocationRequestId());
  }

  private static ContainerRequest request(AskGroup group) {
    ServiceSpec service = group.service;
    return new ContainerRequest(
        resource(group.resources),
        names(service.nodes),
        names(service.racks),
        Priority.newInstance(service.position + 1),
        group.id,
        service.relaxLocality,
        service.nodeLabel.isEmpty() ? null : service.nodeLabel);
  }

  private static String[] names(List<String> names) {
    return names.isEmpty() ? null : names.toArray(new String[0]);
  }

  static Resource resource(Resources asked) {
    Resource resource = Resource.newInstance(asked.memory(), asked.vcores());
    asked.named().forEach(resource::setResourceValue);
    return resource;
  }
}
