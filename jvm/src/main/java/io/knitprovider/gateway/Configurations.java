package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import java.io.File;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/**
 * Hadoop's configuration as this gateway was told it, and nothing that happens to lie around in its
 * environment.
 */
final class Configurations {

  /**
   * Hadoop's own defaults suit daemons: 30 s between two attempts, 15 minutes until a client gives
   * up. Somebody waits for us, and each call has a deadline.
   */
  private static final String[][] IMPATIENCE = {
    {"yarn.client.application-client-protocol.poll-interval-ms", "10"},
    {"yarn.client.failover-sleep-base-ms", "100"},
    {"yarn.client.failover-sleep-max-ms", "2000"},
    // 100 ms, doubled up to 2 s, with jitter: about 10 s in all, time enough for a standby to take
    // over.
    {"yarn.client.failover-max-attempts", "10"},
    // Without HA: one more try. (The quotient of the two is the number, whatever time the tries
    // themselves take.)
    {"yarn.resourcemanager.connect.max-wait.ms", "500"},
    {"yarn.resourcemanager.connect.retry-interval.ms", "500"},
    {"ipc.client.connect.max.retries", "4"},
    {"ipc.client.connect.retry.interval", "500"},
    {"ipc.client.connect.timeout", "5000"},
    {"ipc.client.connect.max.retries.on.timeouts", "1"},
    {"ipc.client.rpc-timeout.ms", "20000"},
    {"dfs.client.failover.max.attempts", "8"},
    {"dfs.client.failover.sleep.base.millis", "100"},
    {"dfs.client.failover.sleep.max.millis", "2000"},
    // How long a writer waits for its last block to be reported: 400 ms by default, and doubled
    // each time.
    {"dfs.client.block.write.locateFollowingBlock.initial.delay.ms", "20"},
    {"dfs.client.block.write.locateFollowingBlock.retries", "9"},
    // Its client loads a web stack, asks a server that may be down, and brings nothing that we use.
    {"yarn.timeline-service.enabled", "false"},
  };

  private Configurations() {}

  /**
   * @param resources {@code *-site.xml} files, later ones over earlier ones
   * @param overrides single settings, over all files, {@code final} ones too
   */
  static Configuration build(List<String> resources, Map<String, String> overrides) {
    // Both register their default files, and every registration makes existing configurations read
    // all files again.
    HdfsConfiguration.init();
    Configuration conf = new YarnConfiguration();
    for (String resource : resources) {
      File file = new File(resource);
      if (!file.isFile()) {
        throw new InvalidInput("the configuration file " + resource + " does not exist");
      }
      conf.addResource(new Path(file.toURI()));
    }
    try {
      for (Map.Entry<String, String> entry : overrides.entrySet()) {
        conf.set(entry.getKey(), entry.getValue());
      }
      for (String[] setting : IMPATIENCE) {
        conf.set(setting[0], setting[1]);
      }
      conf.size();
    } catch (RuntimeException e) {
      throw new InvalidInput(
          "the configuration cannot be read: "
              + String.valueOf(e.getMessage()).replaceAll("\\s+", " "),
          e);
    }
    return conf;
  }
}
