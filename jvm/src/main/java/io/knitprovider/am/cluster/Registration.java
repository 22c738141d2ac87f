package io.knitprovider.am.cluster;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.Outcome;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.api.protocolrecords.RegisterApplicationMasterResponse;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.FinalApplicationStatus;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.api.records.ResourceInformation;
import org.apache.hadoop.yarn.client.api.AMRMClient;
import org.apache.hadoop.yarn.client.api.AMRMClient.ContainerRequest;
import org.apache.hadoop.yarn.exceptions.ApplicationAttemptNotFoundException;
import org.apache.hadoop.yarn.exceptions.YarnException;
import org.apache.hadoop.yarn.util.resource.ResourceUtils;

/** Our standing with the ResourceManager, from hello to goodbye. */
public final class Registration {

  /**
   * Empty: the ResourceManager cannot proxy an ApplicationMaster whose certificate it does not
   * know, and with nothing here it links the logs.
   */
  private static final String TRACKING_URL = "";

  /** As long as YARN itself waits, by default, for an ApplicationMaster. */
  static final long PATIENCE_MS = 900_000;

  /** Places in a {@link Resource}'s array before those with names. */
  private static final int UNNAMED = 2;

  private final AMRMClient<ContainerRequest> client = AMRMClient.createAMRMClient();
  private final Clock clock;
  private RegisterApplicationMasterResponse response;

  public Registration(Configuration conf, Clock clock) {
    this.clock = clock;
    client.init(conf);
    client.start();
  }

  public AMRMClient<ContainerRequest> client() {
    return client;
  }

  /** Registers; {@code port} is that of the control channel, -1 where there is none. */
  public void register(String host, int port) throws IOException, YarnException {
    response = client.registerApplicationMaster(host, port, TRACKING_URL);
  }

  /** Learns the cluster's named resources, which the node's own configuration may lack. */
  public void learnResourceTypes() {
    if (response.getResourceTypes() != null && response.getResourceTypes().size() > UNNAMED) {
      ResourceUtils.reinitializeResources(response.getResourceTypes());
    }
  }

  /** The most that one container may have. */
  public Resources maximum() {
    return read(response.getMaximumResourceCapability());
  }

  static Resources read(Resource resource) {
    Map<String, Long> named = new TreeMap<>();
    ResourceInformation[] all = resource.getResources();
    for (int i = UNNAMED; i < all.length; i++) {
      named.put(all[i].getName(), all[i].getValue());
    }
    int memory = (int) Math.min(Integer.MAX_VALUE, resource.getMemorySize());
    return new Resources(memory, resource.getVirtualCores(), named);
  }

  /** Containers of earlier attempts that run on. */
  public List<Container> survivors() {
    return response.getContainersFromPreviousAttempts();
  }

  /**
   * Says how the application ended until the ResourceManager has acknowledged it.
   *
   * @return false when it never did
   */
  public boolean unregister(Outcome outcome) throws InterruptedException {
    long since = clock.monotonicMs();
    FinalApplicationStatus status = FinalApplicationStatus.valueOf(outcome.finalStatus.name());
    while (true) {
      try {
        client.unregisterApplicationMaster(status, outcome.diagnostics, TRACKING_URL);
        return true;
      } catch (ApplicationAttemptNotFoundException e) {
        Log.warn("the ResourceManager no longer knows this attempt: cannot unregister");
        return false;
      } catch (IOException | YarnException | RuntimeException e) {
        if (clock.monotonicMs() - since > PATIENCE_MS) {
          Log.warn("the ResourceManager cannot be reached to unregister", e);
          return false;
        }
        Log.warn("unregistering failed, trying again", e);
        Thread.sleep(1_000);
      }
    }
  }
}
