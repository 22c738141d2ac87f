package io.knitprovider.am.cluster;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse;
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerStatus;
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus;
import org.apache.hadoop.yarn.api.records.Priority;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.api.records.UpdateContainerRequest;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;
import org.apache.hadoop.yarn.util.Records;

/** A ResourceManager that says each thing once, in the order in which it was told to. */
final class ScriptedClient extends AMRMClient<ContainerRequest> {

  final List<String> blacklist = new ArrayList<>();
  private final Deque<AllocateResponse> answers = new ArrayDeque<>();
  int nodes = 10;

  ScriptedClient() {
    super("scripted");
  }

  void willSay(List<Container> survivors, List<ContainerStatus> ended) {
    AllocateResponse response = Records.newRecord(AllocateResponse.class);
    response.setContainersFromPreviousAttempts(survivors);
    response.setCompletedContainersStatuses(ended);
    response.setAllocatedContainers(Collections.emptyList());
    answers.add(response);
  }

  @Override
  public AllocateResponse allocate(float progress) {
    if (answers.isEmpty()) {
      willSay(Collections.emptyList(), Collections.emptyList());
    }
    return answers.remove();
  }

  @Override
  public RegisterApplicationMasterResponse registerApplicationMaster(
      String host, int port, String url) throws IOException {
    throw new IOException("not part of the script");
  }

  @Override
  public void unregisterApplicationMaster(
      FinalApplicationStatus status, String message, String url) {}

  @Override
  public void addContainerRequest(ContainerRequest request) {}

  @Override
  public void removeContainerRequest(ContainerRequest request) {}

  @Override
  public void requestContainerUpdate(Container container, UpdateContainerRequest request) {}

  @Override
  public void releaseAssignedContainer(ContainerId container) {}

  @Override
  public Resource getAvailableResources() {
    return Resource.newInstance(0, 0);
  }

  @Override
  public int getClusterNodeCount() {
    return nodes;
  }

  @Override
  public List<? extends Collection<ContainerRequest>> getMatchingRequests(
      Priority priority, String name, Resource resource) {
    return Collections.emptyList();
  }

  @Override
  public Collection<ContainerRequest> getMatchingRequests(long allocationRequestId) {
    return Collections.emptyList();
  }

  @Override
  public void updateBlacklist(List<String> additions, List<String> removals) {
    blacklist.addAll(additions);
    blacklist.removeAll(removals);
  }
}
