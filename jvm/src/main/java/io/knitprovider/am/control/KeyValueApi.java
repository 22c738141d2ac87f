package io.knitprovider.am.control;

import io.knitprovider.am.state.KeyValueStore;
import io.knitprovider.common.Json;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.json.JSONObject;

/** The paths of the key-value store. Owner and containers may use all of them. */
final class KeyValueApi {

  private static final String ROOT = "POST /v1/kv/";

  /** All its requests. */
  static final Set<String> REQUESTS =
      Collections.unmodifiableSet(
          new HashSet<>(
              Arrays.asList(
                  ROOT + "get", ROOT + "set", ROOT + "delete", ROOT + "list", ROOT + "watch")));

  /** Shorter than the server allows an answer to take. */
  private static final double MOST_WAIT_S = 20;

  private final ControlActions actions;
  private ScheduledExecutorService timer;

  KeyValueApi(ControlActions actions) {
    this.actions = actions;
  }

  ControlReply answer(String request, JSONObject body) {
    KeyValueStore values = actions.values();
    switch (request.substring(ROOT.length())) {
      case "get":
        return ControlReply.ok(values.get(Json.string(body, "key")));
      case "set":
        long version =
            values.set(Json.string(body, "key"), Json.string(body, "value"), expected(body));
        actions.keep();
        return ControlReply.ok(new JSONObject().put("version", version));
      case "delete":
        boolean deleted = values.delete(Json.string(body, "key"), expected(body));
        actions.keep();
        return ControlReply.ok(new JSONObject().put("deleted", deleted));
      case "list":
        return ControlReply.ok(values.list(Json.string(body, "prefix", "")));
      default:
        return watch(values, body);
    }
  }

  private static Long expected(JSONObject body) {
    return Json.has(body, "if_version") ? (Long) Json.integer(body, "if_version") : null;
  }

  private ControlReply watch(KeyValueStore values, JSONObject body) {
    boolean exact = Json.has(body, "key");
    String name = exact ? Json.string(body, "key") : Json.string(body, "prefix", "");
    CompletableFuture<JSONObject> news =
        values.changed(name, exact, Json.integer(body, "since", 0));
    if (!news.isDone()) {
      double seconds = Json.has(body, "timeout_s") ? Json.number(body, "timeout_s") : MOST_WAIT_S;
      long ms = (long) (1000 * Math.max(0, Math.min(MOST_WAIT_S, seconds)));
      ScheduledFuture<?> end =
          timer().schedule(() -> values.giveUp(news), ms, TimeUnit.MILLISECONDS);
      news.whenComplete((answer, error) -> end.cancel(false));
    }
    return ControlReply.later(news);
  }

  private synchronized ScheduledExecutorService timer() {
    if (timer == null) {
      timer =
          Executors.newSingleThreadScheduledExecutor(
              work -> {
                Thread thread = new Thread(work, "kv-timer");
                thread.setDaemon(true);
                return thread;
              });
    }
    return timer;
  }
}
