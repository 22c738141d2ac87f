package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.List;
import java.util.Map;
import org.json.JSONObject;

/**
 * What the parent process says on the first line of standard input: the token, and who and where
 * this gateway is for.
 */
final class Handshake {

  /** 256 bits as hex digits. */
  private static final int MINIMUM_TOKEN_LENGTH = 64;

  final String token;
  final long parentPid;
  final String user;
  final String proxyUser;
  final String principal;
  final String keytab;
  final List<String> confResources;
  final Map<String, String> conf;
  final String logLevel;

  /** Where an archive of our classes is wanted; null where there is one or none is wanted. */
  final ClassArchive classArchive;

  private Handshake(JSONObject json) {
    token = Json.string(json, "token");
    if (token.length() < MINIMUM_TOKEN_LENGTH) {
      throw new InvalidInput(
          "token has " + token.length() + " characters; it needs at least " + MINIMUM_TOKEN_LENGTH);
    }
    parentPid = Json.integer(json, "parent_pid");
    user = Json.string(json, "user", null);
    proxyUser = Json.string(json, "proxy_user", null);
    principal = Json.string(json, "principal", null);
    keytab = Json.string(json, "keytab", null);
    if ((principal == null) != (keytab == null)) {
      throw new InvalidInput("principal and keytab go together: one of them is missing");
    }
    confResources = Json.strings(json, "conf_resources");
    conf = Json.stringMap(json, "conf");
    logLevel = Json.string(json, "log_level", "WARN");
    classArchive = ClassArchive.wanted(Json.objectOrNull(json, "class_archive"));
  }

  static Handshake parse(String line) {
    if (line == null) {
      throw new InvalidInput("standard input ended before the first line");
    }
    return new Handshake(Json.parse(line, "the first line of standard input"));
  }
}
