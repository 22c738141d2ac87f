package io.knitprovider.am.spec;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.List;
import org.json.JSONObject;

/** With what an application that outlives its delegation tokens gets new ones. */
public final class KeytabSpec {

  public final String principal;

  /** Link name of the keytab in our own working directory; no other container has it. */
  public final String file;

  /** The filesystems that tokens are wanted for, beside the default one and that of the logs. */
  public final List<String> filesystems;

  private KeytabSpec(String principal, String file, List<String> filesystems) {
    this.principal = principal;
    this.file = file;
    this.filesystems = filesystems;
  }

  static KeytabSpec parse(JSONObject json) {
    String file = Json.string(json, "file");
    if (file.contains("/")) {
      throw new InvalidInput("keytab.file is " + file + "; it has to be a link's name");
    }
    return new KeytabSpec(Json.string(json, "principal"), file, Json.strings(json, "filesystems"));
  }
}
