package io.knitprovider.am.cluster;

import io.knitprovider.am.Clock;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.LocalFile;
import io.knitprovider.am.spec.ServiceSpec;
import io.knitprovider.am.state.ContainerRecord;
import java.net.URI;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.yarn.api.ApplicationConstants;
import org.apache.hadoop.yarn.api.records.ApplicationAccessType;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.LocalResource;
import org.apache.hadoop.yarn.api.records.LocalResourceType;
import org.apache.hadoop.yarn.api.records.LocalResourceVisibility;
import org.apache.hadoop.yarn.api.records.URL;

/**
 * What a NodeManager is told to start. Only constants of ours: it rewrites and expands whatever it
 * is given, and copies it into the logs, so all that a user wrote is in the service's own script.
 */
public final class LaunchContexts {

  private static final String LOG_DIR = ApplicationConstants.LOG_DIR_EXPANSION_VAR;

  /** With which classes a container fetches new tokens; the cluster's own word. */
  private static final String CLASSPATH = System.getenv("KNIT_AM_CLASSPATH");

  private final ApplicationSpec spec;
  private final String address;
  private final ContainerCredentials credentials;
  private final Clock clock = Clock.SYSTEM;
  private final Map<String, ServiceSpec> services = new HashMap<>();

  /**
   * @param address host:port of the control channel, or null where there is none
   */
  public LaunchContexts(ApplicationSpec spec, String address, ContainerCredentials credentials) {
    this.spec = spec;
    this.address = address;
    this.credentials = credentials;
    spec.services.forEach(service -> services.put(service.name, service));
  }

  /** Built anew for every launch: Hadoop's records are not safe to share between threads. */
  ContainerLaunchContext build(ContainerRecord container) {
    ServiceSpec service = services.get(container.service);
    String command =
        "exec /bin/bash ./"
            + ServiceSpec.RUN_SCRIPT
            + " 1>"
            + LOG_DIR
            + "/stdout 2>"
            + LOG_DIR
            + "/stderr";
    Map<String, String> environment =
        environment(spec, address, container.id, service.name, container.index, LOG_DIR);
    long now = clock.wallMs();
    if (spec.keytab != null) {
      environment.put("KNIT_TOKENS_AFTER", Long.toString(credentials.secondsToNext(now)));
      if (CLASSPATH != null) {
        environment.put("KNIT_AM_CLASSPATH", CLASSPATH);
      }
    }
    return ContainerLaunchContext.newInstance(
        files(service),
        environment,
        Collections.singletonList(command),
        null,
        credentials.duplicate(now),
        acls());
  }

  /**
   * The variables that every process of the application finds.
   *
   * @param logDir the folder whose files YARN keeps as the container's logs
   */
  public static Map<String, String> environment(
      ApplicationSpec spec,
      String address,
      String containerId,
      String service,
      int index,
      String logDir) {
    Map<String, String> environment = new HashMap<>();
    environment.put("KNIT_APP_ID", spec.applicationId);
    environment.put("KNIT_CONTAINER_ID", containerId);
    environment.put("KNIT_SERVICE", service);
    environment.put("KNIT_INDEX", Integer.toString(index));
    environment.put("KNIT_RESULT", logDir + "/knit-result.json");
    environment.put("PYTHONUNBUFFERED", "1");
    if (address != null) {
      environment.put("KNIT_AM_ADDRESS", address);
    }
    if (!spec.secure && !spec.user.isEmpty()) {
      environment.put("HADOOP_USER_NAME", spec.user);
    }
    return environment;
  }

  private static Map<String, LocalResource> files(ServiceSpec service) {
    Map<String, LocalResource> files = new HashMap<>();
    for (Map.Entry<String, LocalFile> entry : service.localResources.entrySet()) {
      LocalFile file = entry.getValue();
      files.put(
          entry.getKey(),
          LocalResource.newInstance(
              URL.fromURI(URI.create(file.uri)),
              LocalResourceType.valueOf(file.type),
              LocalResourceVisibility.valueOf(file.visibility),
              file.size,
              file.timestamp));
    }
    return files;
  }

  private Map<ApplicationAccessType, String> acls() {
    Map<ApplicationAccessType, String> acls = new HashMap<>();
    if (spec.viewAcl != null) {
      acls.put(ApplicationAccessType.VIEW_APP, spec.viewAcl);
    }
    if (spec.modifyAcl != null) {
      acls.put(ApplicationAccessType.MODIFY_APP, spec.modifyAcl);
    }
    return acls;
  }
}
