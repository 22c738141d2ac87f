package io.knitprovider.am.spec;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.Arrays;
import java.util.List;
import org.json.JSONObject;

/** A file or archive that YARN puts into a container's working directory before it starts. */
public final class LocalFile {

  private static final List<String> TYPES = Arrays.asList("FILE", "ARCHIVE");
  private static final List<String> VISIBILITIES =
      Arrays.asList("PRIVATE", "APPLICATION", "PUBLIC");

  public final String uri;
  public final String type;
  public final String visibility;
  public final long size;

  /** The file's modification time; YARN refuses the container when the file has another one. */
  public final long timestamp;

  private LocalFile(String uri, String type, String visibility, long size, long timestamp) {
    this.uri = uri;
    this.type = type;
    this.visibility = visibility;
    this.size = size;
    this.timestamp = timestamp;
  }

  static LocalFile parse(JSONObject json, String where) {
    return new LocalFile(
        Json.string(json, "uri"),
        oneOf(Json.string(json, "type", "FILE"), TYPES, where + ".type"),
        oneOf(Json.string(json, "visibility", "PRIVATE"), VISIBILITIES, where + ".visibility"),
        Json.integer(json, "size"),
        Json.integer(json, "timestamp"));
  }

  private static String oneOf(String value, List<String> allowed, String where) {
    if (!allowed.contains(value)) {
      throw new InvalidInput(where + " is " + value + "; it has to be one of " + allowed);
    }
    return value;
  }
}
