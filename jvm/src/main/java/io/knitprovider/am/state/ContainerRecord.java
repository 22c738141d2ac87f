package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.common.Json;
import java.util.Collections;
import org.json.JSONObject;

/** The life of one container: it belongs to one instance, which may have had others before it. */
public final class ContainerRecord {

  /** Where the container is. */
  public enum State {
    /** YARN gave it; its NodeManager has not confirmed the launch. */
    STARTING,
    RUNNING,
    SUCCEEDED,
    FAILED,
    /** Somebody asked for it to go. */
    REMOVED,
    /** Its node went away, or nobody knows how it ended. */
    LOST,
    PREEMPTED,
    /** It still ran when the application ended. */
    STOPPED
  }

  public final String id;
  public final String service;
  public final int index;

  /** The NodeManager's host:port. */
  public final String node;

  /** The host:port of the NodeManager's web interface. */
  public final String nodeHttp;

  /** What YARN gave, which may be more than was asked for. */
  public final Resources resources;

  State state = State.STARTING;
  Integer exitCode;
  long startedMs;
  long finishedMs;
  String diagnostics = "";

  /** Set once we want it gone: the state it will have then. */
  State leaving;

  /**
   * Whether YARN has given this container to this attempt. One of an earlier attempt is given to us
   * only when YARN names it among the survivors; before that it must not be given back.
   */
  boolean held;

  /** On the monotonic clock, for telling a program that fails at once from one that ran. */
  long placedAt;

  ContainerRecord(
      String id, String service, int index, String node, String nodeHttp, Resources resources) {
    this.id = id;
    this.service = service;
    this.index = index;
    this.node = node;
    this.nodeHttp = nodeHttp;
    this.resources = resources;
  }

  boolean isActive() {
    return state == State.STARTING || state == State.RUNNING;
  }

  /** As the control channel shows it. */
  JSONObject toJson() {
    return brief()
        .put("started_ms", startedMs == 0 ? JSONObject.NULL : (Object) startedMs)
        .put("finished_ms", finishedMs == 0 ? JSONObject.NULL : (Object) finishedMs)
        .put("memory", resources.memory())
        .put("vcores", resources.vcores())
        .put("diagnostics", diagnostics);
  }

  /** As the ledger keeps it. */
  JSONObject brief() {
    return new JSONObject()
        .put("id", id)
        .put("service", service)
        .put("index", index)
        .put("node", node)
        .put("node_http", nodeHttp)
        .put("exit_code", Json.orNull(exitCode))
        .put("state", state.name());
  }

  JSONObject launchEntry(long nowMs) {
    return new JSONObject()
        .put("event", "launch")
        .put("container", id)
        .put("service", service)
        .put("index", index)
        .put("node", node)
        .put("node_http", nodeHttp)
        .put("memory", resources.memory())
        .put("vcores", resources.vcores())
        .put("time", nowMs);
  }

  static ContainerRecord fromLaunchEntry(JSONObject entry) {
    ContainerRecord record =
        new ContainerRecord(
            Json.string(entry, "container"),
            Json.string(entry, "service"),
            (int) Json.integer(entry, "index"),
            Json.string(entry, "node"),
            Json.string(entry, "node_http", ""),
            new Resources(
                (int) Json.integer(entry, "memory"),
                (int) Json.integer(entry, "vcores"),
                Collections.emptyMap()));
    record.startedMs = Json.integer(entry, "time", 0);
    return record;
  }
}
