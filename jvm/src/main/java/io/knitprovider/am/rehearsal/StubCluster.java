package io.knitprovider.am.rehearsal;

import java.io.IOException;
import java.lang.reflect.Proxy;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.ipc.Server;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.apache.hadoop.yarn.api.ApplicationMasterProtocol;
import org.apache.hadoop.yarn.api.ContainerManagementProtocol;
import org.apache.hadoop.yarn.api.protocolrecords.AllocateRequest;
import org.apache.hadoop.yarn.api.protocolrecords.AllocateResponse;
import org.apache.hadoop.yarn.api.protocolrecords.FinishApplicationMasterResponse;
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterRequest;
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse;
import org.apache.hadoop.yarn.api.protocolrecords.StartContainersResponse;
import org.apache.hadoop.yarn.api.protocolrecords.StopContainersResponse;
import org.apache.hadoop.yarn.api.records.ApplicationAttemptId;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerState;
import org.apache.hadoop.yarn.api.records.ContainerStatus;
import org.apache.hadoop.yarn.api.records.NMToken;
import org.apache.hadoop.yarn.api.records.NodeId;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.api.records.ResourceRequest;
import org.apache.hadoop.yarn.ipc.YarnRPC;
import org.apache.hadoop.yarn.security.AMRMTokenIdentifier;
import org.apache.hadoop.yarn.security.NMTokenIdentifier;
import org.apache.hadoop.yarn.util.Records;

/**
 * A ResourceManager and a NodeManager of a few lines, on loopback ports of this process. They give
 * one container and say at once that it was started; it ends when the rehearsal says so.
 */
final class StubCluster {

  private static final String HOST = "127.0.0.1";

  /** Told the control port with which the ApplicationMaster has registered. */
  final CompletableFuture<Integer> controlPort = new CompletableFuture<>();

  private final ApplicationAttemptId attempt;
  private final Passwords<AMRMTokenIdentifier> masterPasswords =
      new Passwords<>(AMRMTokenIdentifier::new);
  private final Passwords<NMTokenIdentifier> nodePasswords =
      new Passwords<>(NMTokenIdentifier::new);
  private final Server master;
  private final Server node;
  private ContainerId given;
  private boolean started;
  private boolean mayEnd;
  private boolean ended;

  StubCluster(ApplicationAttemptId attempt, Configuration conf) {
    this.attempt = attempt;
    YarnRPC rpc = YarnRPC.create(conf);
    InetSocketAddress any = new InetSocketAddress(HOST, 0);
    master =
        rpc.getServer(
            ApplicationMasterProtocol.class,
            stub(ApplicationMasterProtocol.class),
            any,
            conf,
            masterPasswords,
            1);
    node =
        rpc.getServer(
            ContainerManagementProtocol.class,
            stub(ContainerManagementProtocol.class),
            any,
            conf,
            nodePasswords,
            1);
    master.start();
    node.start();
  }

  /** Where the ResourceManager listens for ApplicationMasters. */
  String masterAddress() {
    return HOST + ":" + master.getListenerAddress().getPort();
  }

  /** The token that makes an ApplicationMaster of its bearer. */
  Token<AMRMTokenIdentifier> masterToken() {
    return new Token<>(new AMRMTokenIdentifier(attempt, 1), masterPasswords);
  }

  /** From now on the container may be reported as having ended. */
  synchronized void letContainerEnd() {
    mayEnd = true;
  }

  void stop() {
    master.stop();
    node.stop();
  }

  /** A proxy, since these interfaces have other methods in other versions of Hadoop. */
  private Object stub(Class<?> protocol) {
    return Proxy.newProxyInstance(
        protocol.getClassLoader(),
        new Class<?>[] {protocol},
        (self, method, arguments) -> answer(method.getName(), arguments));
  }

  private synchronized Object answer(String method, Object[] arguments) throws IOException {
    switch (method) {
      case "registerApplicationMaster":
        controlPort.complete(((RegisterApplicationMasterRequest) arguments[0]).getRpcPort());
        return registered();
      case "allocate":
        return allocated((AllocateRequest) arguments[0]);
      case "finishApplicationMaster":
        return FinishApplicationMasterResponse.newInstance(true);
      case "startContainers":
        started = true;
        return StartContainersResponse.newInstance(
            Collections.emptyMap(), Collections.singletonList(given), Collections.emptyMap());
      case "stopContainers":
        return StopContainersResponse.newInstance(
            Collections.singletonList(given), Collections.emptyMap());
      default:
        throw new IOException("the rehearsal has no " + method);
    }
  }

  private RegisterApplicationMasterResponse registered() {
    RegisterApplicationMasterResponse response =
        Records.newRecord(RegisterApplicationMasterResponse.class);
    response.setMaximumResourceCapability(Resource.newInstance(1 << 16, 64));
    response.setQueue("default");
    response.setApplicationACLs(Collections.emptyMap());
    response.setContainersFromPreviousAttempts(Collections.emptyList());
    response.setNMTokensFromPreviousAttempts(Collections.emptyList());
    return response;
  }

  private AllocateResponse allocated(AllocateRequest request) {
    AllocateResponse response = Records.newRecord(AllocateResponse.class);
    response.setResponseId(request.getResponseId() + 1);
    response.setNumClusterNodes(1);
    response.setAvailableResources(Resource.newInstance(1 << 16, 64));
    List<Container> containers = new ArrayList<>();
    for (ResourceRequest asked : request.getAskList()) {
      if (given == null && asked.getNumContainers() > 0) {
        given = ContainerId.newContainerId(attempt, 2);
        containers.add(container(asked));
        response.setNMTokens(Collections.singletonList(nodeToken()));
      }
    }
    response.setAllocatedContainers(containers);
    if (started && mayEnd && !ended) {
      ended = true;
      response.setCompletedContainersStatuses(
          Collections.singletonList(
              ContainerStatus.newInstance(given, ContainerState.COMPLETE, "", 0)));
    }
    return response;
  }

  private NodeId nodeId() {
    return NodeId.newInstance(HOST, node.getListenerAddress().getPort());
  }

  private Container container(ResourceRequest asked) {
    org.apache.hadoop.yarn.api.records.Token token =
        org.apache.hadoop.yarn.api.records.Token.newInstance(
            new byte[] {0}, "ContainerToken", new byte[] {0}, nodeId().toString());
    Container container =
        Container.newInstance(
            given, nodeId(), HOST + ":1", asked.getCapability(), asked.getPriority(), token);
    container.setAllocationRequestId(asked.getAllocationRequestId());
    return container;
  }

  private NMToken nodeToken() {
    Token<? extends TokenIdentifier> token =
        new Token<>(new NMTokenIdentifier(attempt, nodeId(), "rehearsal", 1), nodePasswords);
    return NMToken.newInstance(
        nodeId(),
        org.apache.hadoop.yarn.api.records.Token.newInstance(
            token.getIdentifier(),
            token.getKind().toString(),
            token.getPassword(),
            nodeId().toString()));
  }
}
