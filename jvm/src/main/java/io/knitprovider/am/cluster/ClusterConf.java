package io.knitprovider.am.cluster;

import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/** The node's own Hadoop configuration, completed by what the submission brought along. */
public final class ClusterConf {

  private static final String HDFS_PREFIX = "dfs.";

  private ClusterConf() {}

  /**
   * For talking to the ResourceManager and the NodeManagers. Calls give up after seconds instead of
   * Hadoop's 15 minutes: our own loops go on trying, and in between they see what else is to be
   * done.
   */
  public static Configuration forYarn(Map<String, String> brought) {
    Configuration conf = new YarnConfiguration();
    complete(conf, brought, false);
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
    return conf;
  }

  /** For the filesystem: its own patience, as the cluster has set it. */
  public static Configuration forFiles(Map<String, String> brought) {
    // What HDFS's own classes do when they are loaded; done here first, so that we see what the
    // node
    // says before we add to it.
    Configuration.addDefaultResource("hdfs-default.xml");
    Configuration.addDefaultResource("hdfs-site.xml");
    Configuration conf = new YarnConfiguration();
    complete(conf, brought, true);
    return conf;
  }

  private static void complete(Configuration conf, Map<String, String> brought, boolean withHdfs) {
    for (Map.Entry<String, String> setting : brought.entrySet()) {
      String key = setting.getKey();
      // Before hdfs-site.xml is read, nobody knows what the node says about HDFS.
      if ((withHdfs || !key.startsWith(HDFS_PREFIX)) && !isSetByNode(conf, key)) {
        conf.set(key, setting.getValue(), "knit-provider");
      }
    }
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
