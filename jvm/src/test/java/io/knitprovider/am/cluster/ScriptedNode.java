package io.knitprovider.am.cluster;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.Map;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.ContainerStatus;
import org.apache.hadoop.yarn.api.records.NodeId;
import org.apache.hadoop.yarn.client.api.NMClient;
import org.apache.hadoop.yarn.exceptions.YarnException;

/** A NodeManager that takes every launch, or says what it was told to. */
final class ScriptedNode extends NMClient {

  private final Exception answer;
  volatile int starts;

  /**
   * @param answer thrown at every launch; null takes it
   */
  ScriptedNode(Exception answer) {
    super("scripted");
    this.answer = answer;
    init(new org.apache.hadoop.conf.Configuration(false));
    start();
  }

  @Override
  public Map<String, ByteBuffer> startContainer(Container container, ContainerLaunchContext context)
      throws YarnException, IOException {
    starts++;
    if (answer instanceof YarnException) {
      throw (YarnException) answer;
    }
    if (answer instanceof IOException) {
      throw (IOException) answer;
    }
    if (answer != null) {
      throw (RuntimeException) answer;
    }
    return Collections.emptyMap();
  }

  @Override
  public void increaseContainerResource(Container container) {}

  @Override
  public void updateContainerResource(Container container) {}

  @Override
  public void stopContainer(ContainerId container, NodeId node) {}

  @Override
  public ContainerStatus getContainerStatus(ContainerId container, NodeId node) {
    return null;
  }

  @Override
  public void reInitializeContainer(
      ContainerId container, ContainerLaunchContext context, boolean autoCommit) {}

  @Override
  public void restartContainer(ContainerId container) {}

  @Override
  public void rollbackLastReInitialization(ContainerId container) {}

  @Override
  public void commitLastReInitialization(ContainerId container) {}

  @Override
  public void cleanupRunningContainersOnStop(boolean enabled) {}
}
