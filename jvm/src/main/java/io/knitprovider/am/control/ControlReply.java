package io.knitprovider.am.control;

import java.util.concurrent.CompletableFuture;
import org.json.JSONObject;

/** An answer of the control channel: an HTTP status and a JSON object, perhaps only later. */
final class ControlReply {

  final int status;
  final JSONObject body;

  /** Where the body is not known yet: it, when it is; else null. Nobody's thread waits for it. */
  final CompletableFuture<JSONObject> later;

  private ControlReply(int status, JSONObject body, CompletableFuture<JSONObject> later) {
    this.status = status;
    this.body = body;
    this.later = later;
  }

  static ControlReply ok(JSONObject body) {
    return new ControlReply(200, body, null);
  }

  static ControlReply later(CompletableFuture<JSONObject> body) {
    return body.isDone() ? ok(body.join()) : new ControlReply(200, null, body);
  }

  static ControlReply error(int status, String error, String message) {
    return new ControlReply(
        status, new JSONObject().put("error", error).put("message", message), null);
  }

  /** Says nothing that would help somebody who has no business here. */
  static ControlReply unauthorized() {
    return error(401, "Unauthorized", "");
  }
}
