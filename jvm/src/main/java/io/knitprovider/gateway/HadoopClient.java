package io.knitprovider.gateway;

import java.io.IOException;
import java.security.PrivilegedExceptionAction;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.yarn.api.ApplicationClientProtocol;
import org.apache.hadoop.yarn.api.protocolrecords.GetAllResourceTypeInfoRequest;
import org.apache.hadoop.yarn.client.ClientRMProxy;
import org.apache.hadoop.yarn.conf.HAUtil;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/** One cluster as one user sees it. */
final class HadoopClient {

  final Configuration conf;
  final UserGroupInformation ugi;
  private ApplicationClientProtocol resourceManager;
  private boolean resourceTypesKnown;

  private HadoopClient(Configuration conf, UserGroupInformation ugi) {
    this.conf = conf;
    this.ugi = ugi;
  }

  static HadoopClient open(Handshake handshake) throws IOException {
    Configuration conf = Configurations.build(handshake.confResources, handshake.conf);
    return new HadoopClient(conf, Login.login(handshake, conf));
  }

  /** Does something as the user. */
  <T> T as(Callable<T> action) throws Exception {
    UserGroupInformation real = ugi.getRealUser() == null ? ugi : ugi.getRealUser();
    if (real.isFromKeytab()) {
      real.checkTGTAndReloginFromKeytab();
    }
    return ugi.doAs((PrivilegedExceptionAction<T>) action::call);
  }

  /**
   * A proxy that fails over between ResourceManagers and connects when it is first used. Call it as
   * the user.
   */
  synchronized ApplicationClientProtocol resourceManager() throws IOException {
    if (resourceManager == null) {
      resourceManager = ClientRMProxy.createRMProxy(conf, ApplicationClientProtocol.class);
    }
    return resourceManager;
  }

  /**
   * Teaches the resource classes, once, which resources besides memory and cores this cluster has.
   */
  synchronized void learnResourceTypes() throws Exception {
    if (!resourceTypesKnown) {
      ResourceTypes.learn(resourceManager());
      resourceTypesKnown = true;
    }
  }

  /** The filesystem of the path: the default one where the path names none. Call it as the user. */
  FileSystem filesystem(Path path) throws IOException {
    return path.getFileSystem(conf);
  }

  String defaultFilesystem() {
    return FileSystem.getDefaultUri(conf).toString();
  }

  /** {@code host:port} of every ResourceManager, as configured. */
  List<String> resourceManagerAddresses() {
    if (!HAUtil.isHAEnabled(conf)) {
      return Collections.singletonList(conf.get(YarnConfiguration.RM_ADDRESS));
    }
    List<String> addresses = new ArrayList<>();
    for (String id : HAUtil.getRMHAIds(conf)) {
      String host = conf.get(YarnConfiguration.RM_HOSTNAME + "." + id);
      String fallback = host == null ? id : host + ":" + YarnConfiguration.DEFAULT_RM_PORT;
      addresses.add(conf.get(YarnConfiguration.RM_ADDRESS + "." + id, fallback));
    }
    return addresses;
  }

  /**
   * Opens the client when it is first needed, and again after a failure: somebody may have run
   * kinit meanwhile.
   */
  static final class Lazy {

    private final Handshake handshake;
    private HadoopClient client;

    Lazy(Handshake handshake) {
      this.handshake = handshake;
    }

    synchronized HadoopClient get() throws IOException {
      if (client == null) {
        client = open(handshake);
      }
      return client;
    }

    /** Called after each success: by now the classes that matter are loaded. */
    void hasWorked() {
      if (handshake.classArchive != null) {
        handshake.classArchive.makeOnce();
      }
    }

    /**
     * Loads in the background what the first calls will need. What fails here fails again, and
     * aloud, in those calls.
     */
    void warmUp() {
      inBackground("warm-up-rm", () -> get().as(() -> warmUpResourceManager(get())));
      inBackground("warm-up-fs", () -> get().as(() -> warmUpFilesystem(get())));
    }

    /** One harmless question loads all there is to an RPC. */
    private static Object warmUpResourceManager(HadoopClient client) throws Exception {
      return client
          .resourceManager()
          .getResourceTypeInfo(GetAllResourceTypeInfoRequest.newInstance());
    }

    /** Only HDFS, whose client connects to nothing until it is used. */
    private static Object warmUpFilesystem(HadoopClient client) throws IOException {
      return client.defaultFilesystem().startsWith("hdfs:") ? FileSystem.get(client.conf) : null;
    }

    private static void inBackground(String name, Callable<Object> task) {
      Thread thread =
          new Thread(
              () -> {
                try {
                  task.call();
                } catch (Exception | LinkageError e) {
                  // See warmUp.
                }
              },
              name);
      thread.setDaemon(true);
      thread.start();
    }
  }
}
