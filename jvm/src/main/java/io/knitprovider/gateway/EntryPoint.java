package io.knitprovider.gateway;

import io.knitprovider.common.Errors;
import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.json.JSONObject;

/**
 * The one object that Python sees, with one method: JSON in, JSON out.
 *
 * <p>An answer comes within {@link #SLICE_MS}, so that Python can tell a long call from a JVM that
 * hangs. A call that is not done by then answers {@code {"ok":true,"pending":id}}, and {@code
 * call.wait} asks for the rest; {@code call.cancel} gives it up.
 */
public final class EntryPoint {

  static final long SLICE_MS = 20_000;

  private final HadoopClient.Lazy client;
  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          task -> {
            Thread thread = new Thread(task, "call");
            thread.setDaemon(true);
            return thread;
          });
  private final Map<String, Running> underWay = new ConcurrentHashMap<>();

  EntryPoint(HadoopClient.Lazy client) {
    this.client = client;
  }

  /** Never throws: what goes wrong is in the answer. */
  public String call(String name, String json) {
    try {
      return dispatch(name, Json.parse(json, "the arguments of " + name)).toString();
    } catch (Exception | LinkageError e) {
      return failure(e, Peer.NONE, null).toString();
    }
  }

  private JSONObject dispatch(String name, JSONObject args) throws InterruptedException {
    if (name.equals("call.wait")) {
      return await(find(args));
    }
    if (name.equals("call.cancel")) {
      find(args).future.cancel(true);
      return new JSONObject().put("ok", true).put("value", JSONObject.NULL);
    }
    Methods.Entry entry = Methods.find(name);
    Running running = new Running(entry.peer, args);
    running.future = threads.submit(() -> run(entry, running));
    underWay.put(running.id, running);
    return await(running);
  }

  private Object run(Methods.Entry entry, Running running) throws Exception {
    HadoopClient hadoop = client.get();
    Call call = new Call(running.args, hadoop);
    running.hadoop = hadoop;
    running.call = call;
    Object value = hadoop.as(() -> entry.method.run(call));
    client.hasWorked();
    return value;
  }

  private Running find(JSONObject args) {
    String id = Json.string(args, "call");
    Running running = underWay.get(id);
    if (running == null) {
      throw new InvalidInput("there is no call " + id + " under way");
    }
    return running;
  }

  private JSONObject await(Running running) throws InterruptedException {
    long sliceEnd = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(SLICE_MS);
    while (true) {
      long slice = TimeUnit.NANOSECONDS.toMillis(sliceEnd - System.nanoTime());
      long remaining = running.remainingMs();
      try {
        Object value =
            running.future.get(Math.max(0, Math.min(slice, remaining)), TimeUnit.MILLISECONDS);
        underWay.remove(running.id);
        return new JSONObject().put("ok", true).put("value", Json.orNull(value));
      } catch (ExecutionException | CancellationException e) {
        underWay.remove(running.id);
        return failure(e, running.peer, running);
      } catch (TimeoutException e) {
        if (running.remainingMs() <= 0) {
          running.future.cancel(true);
          underWay.remove(running.id);
          return failure(e, running.peer, running);
        }
        if (sliceEnd - System.nanoTime() <= 0) {
          return new JSONObject().put("ok", true).put("pending", running.id);
        }
      }
    }
  }

  private static JSONObject failure(Throwable error, Peer peer, Running running) {
    Throwable actual = Errors.unwrap(error);
    JSONObject json = new JSONObject().put("java", actual.getClass().getName());
    if (actual instanceof SubmissionUncertain) {
      json.put("uncertain", true);
      actual = actual.getCause();
    }
    String type = Errors.type(actual);
    if (type.equals(Errors.DEADLINE)
        && running != null
        && running.call != null
        && running.call.submissionUnderWay) {
      json.put("uncertain", true);
    }
    json.put("type", type).put("message", message(actual, type, peer, running));
    return new JSONObject().put("ok", false).put("error", json);
  }

  private static String message(Throwable error, String type, Peer peer, Running running) {
    String words = Errors.message(error);
    if (running == null || running.hadoop == null) {
      return words;
    }
    if (type.equals(Errors.DEADLINE)) {
      return peer.describe(running.hadoop, running.args)
          + " gave no answer within "
          + running.call.deadlineMs / 1000.0
          + " s";
    }
    if (type.equals(Errors.CLUSTER_UNAVAILABLE)) {
      return peer.describe(running.hadoop, running.args)
          + " cannot be reached: "
          + Errors.rootMessage(error);
    }
    return words;
  }

  /** A call under way. */
  private static final class Running {
    final String id;
    final Peer peer;
    final JSONObject args;
    final long deadlineMs;
    final long started = System.nanoTime();
    volatile Future<Object> future;
    volatile HadoopClient hadoop;
    volatile Call call;

    Running(Peer peer, JSONObject args) {
      this.id = Json.string(args, "call");
      this.peer = peer;
      this.args = args;
      this.deadlineMs = Call.deadlineMs(args);
    }

    long remainingMs() {
      Call current = call;
      return current != null
          ? current.remainingMs()
          : deadlineMs - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - started);
    }
  }
}
