package io.knitprovider.am.control;

import org.json.JSONObject;

/** An answer of the control channel: an HTTP status and a JSON object. */
final class ControlReply {

  final int status;
  final JSONObject body;

  private ControlReply(int status, JSONObject body) {
    this.status = status;
    this.body = body;
  }

  static ControlReply ok(JSONObject body) {
    return new ControlReply(200, body);
  }

  static ControlReply error(int status, String error, String message) {
    return new ControlReply(status, new JSONObject().put("error", error).put("message", message));
  }

  /** Says nothing that would help somebody who has no business here. */
  static ControlReply unauthorized() {
    return new ControlReply(401, new JSONObject().put("error", "Unauthorized").put("message", ""));
  }
}
