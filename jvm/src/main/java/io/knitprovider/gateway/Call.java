package io.knitprovider.gateway;

import io.knitprovider.common.Json;
import java.util.concurrent.TimeUnit;
import org.json.JSONObject;

/** One call from Python: its arguments, the cluster it is about, and the time it has. */
final class Call {

  private static final long DEFAULT_DEADLINE_MS = 60_000;

  final JSONObject args;
  final HadoopClient hadoop;
  final long deadlineMs;

  /** Set while it is not known whether the ResourceManager took an application. */
  volatile boolean submissionUnderWay;

  private volatile long mark = System.nanoTime();

  Call(JSONObject args, HadoopClient hadoop) {
    this.args = args;
    this.hadoop = hadoop;
    this.deadlineMs = deadlineMs(args);
  }

  static long deadlineMs(JSONObject args) {
    return Math.max(1, Json.integer(args, "deadline_ms", DEFAULT_DEADLINE_MS));
  }

  String string(String field) {
    return Json.string(args, field);
  }

  /**
   * Called as bytes move: the deadline of a transfer counts from the last of them, since nobody
   * knows its length.
   */
  void advance() {
    mark = System.nanoTime();
  }

  long remainingMs() {
    return deadlineMs - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - mark);
  }
}
