package io.knitprovider.am.spec;

import java.util.List;
import java.util.Map;

/** One service as it was submitted: equal containers, how many, and what becomes of them. */
public final class ServiceSpec {

  /** What a service does when it wants no container any more. */
  public enum WhenEmpty {
    /** It is done; the application ends when all services are. */
    FINISH,
    /** It waits for somebody to scale it up. */
    STAY,
    /** It ends the application, whatever the other services do. */
    END
  }

  /** The link name of the script that every container of a service runs. */
  public static final String RUN_SCRIPT = "knit-run.sh";

  public final String name;
  public final int instances;
  public final Resources resources;
  public final List<String> dependsOn;

  /** Restarts that all instances share; -1 for no limit. */
  public final int maxRestarts;

  public final boolean allowFailures;
  public final WhenEmpty whenEmpty;
  public final String nodeLabel;
  public final List<String> nodes;
  public final List<String> racks;
  public final boolean relaxLocality;
  public final Map<String, LocalFile> localResources;

  /** The service's place in the document; YARN gets it as the priority of its containers. */
  public final int position;

  ServiceSpec(Builder from) {
    this.name = from.name;
    this.instances = from.instances;
    this.resources = from.resources;
    this.dependsOn = from.dependsOn;
    this.maxRestarts = from.maxRestarts;
    this.allowFailures = from.allowFailures;
    this.whenEmpty = from.whenEmpty;
    this.nodeLabel = from.nodeLabel;
    this.nodes = from.nodes;
    this.racks = from.racks;
    this.relaxLocality = from.relaxLocality;
    this.localResources = from.localResources;
    this.position = from.position;
  }

  /** Whether only some of the cluster's nodes will do. */
  public boolean isTied() {
    return !nodeLabel.isEmpty() || (!relaxLocality && !(nodes.isEmpty() && racks.isEmpty()));
  }

  /** The fields on their way from JSON into a service. */
  static final class Builder {
    String name;
    int instances;
    Resources resources;
    List<String> dependsOn;
    int maxRestarts;
    boolean allowFailures;
    WhenEmpty whenEmpty;
    String nodeLabel;
    List<String> nodes;
    List<String> racks;
    boolean relaxLocality;
    Map<String, LocalFile> localResources;
    int position;
  }
}
