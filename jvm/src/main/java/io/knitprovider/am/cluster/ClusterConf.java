package io.knitprovider.am.cluster;

import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/** The node's own Hadoop configuration, completed by what the submission brought along. */
public final class ClusterConf {

  private ClusterConf() {}

  /**
   * For the filesystem: its own patience, as the cluster has set it.
   *
   * <p>HDFS's files are named before anything is read. Its own classes name them when they are
   * loaded, and every configuration that has been read by then is read once more.
   */
  public static Configuration forFiles(Map<String, String> brought) {
    Configuration.addDefaultResource("hdfs-default.xml");
    Configuration.addDefaultResource("hdfs-site.xml");
    Configuration conf = new YarnConfiguration();
    for (Map.Entry<String, String> setting : brought.entrySet()) {
      if (!isSetByNode(conf, setting.getKey())) {
        conf.set(setting.getKey(), setting.getValue(), "knit-provider");
      }
    }
    return conf;
  }

  /**
   * For talking to the ResourceManager and the NodeManagers. Calls give up after seconds instead of
   * Hadoop's 15 minutes: our own loops go on trying, and in between they see what else is to be
   * done.
   *
   * @param files what {@link #forFiles} has read
   */
  public static Configuration forYarn(Configuration files) {
    Configuration conf = new YarnConfiguration(files);
    conf.setLong("yarn.resourcemanager.connect.max-wait.ms", 20_000);
    conf.setLong("yarn.resourcemanager.connect.retry-interval.ms", 500);
    conf.setLong("yarn.client.failover-sleep-base-ms", 100);
    conf.setLong("yarn.client.failover-sleep-max-ms", 2_000);
    conf.setInt("yarn.client.failover-max-attempts", 15);
    conf.setLong("yarn.client.nodemanager-connect.max-wait-ms", 10_000);
    conf.setLong("yarn.client.nodemanager-connect.retry-interval-ms", 500);
    conf.setInt("ipc.client.connect.max.retries", 1);
    conf.setInt("ipc.client.connect.max.retries.on.timeouts", 1);
    conf.setInt("ipc.client.connect.timeout", 10_000);
    // Without any, YARN opens a connection and copies the whole configuration for each launch.
    conf.setInt("yarn.client.max-cached-nodemanagers-proxies", 64);
    return conf;
  }

  /** Whether one of the node's own files sets it, and not only Hadoop's defaults. */
  private static boolean isSetByNode(Configuration conf, String key) {
    String[] sources = conf.getPropertySources(key);
    if (sources == null || sources.length == 0) {
      return false;
    }
    return !sources[sources.length - 1].endsWith("-default.xml");
  }
}
