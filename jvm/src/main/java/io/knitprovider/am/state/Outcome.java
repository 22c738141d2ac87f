package io.knitprovider.am.state;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import org.json.JSONObject;

/** How the application ends, and why. */
public final class Outcome {

  /** YARN's final statuses, but for UNDEFINED, which no application of ours ever has. */
  public enum FinalStatus {
    SUCCEEDED,
    FAILED,
    KILLED
  }

  public final FinalStatus finalStatus;
  public final String diagnostics;

  /** Exit code of the first container whose failure was not forgiven, or null. */
  public final Integer exitCode;

  private Outcome(FinalStatus finalStatus, String diagnostics, Integer exitCode) {
    this.finalStatus = finalStatus;
    this.diagnostics = Diagnostics.clip(diagnostics, Diagnostics.MOST_BYTES);
    this.exitCode = exitCode;
  }

  public static Outcome succeeded(String diagnostics) {
    return new Outcome(FinalStatus.SUCCEEDED, diagnostics, null);
  }

  public static Outcome failed(String diagnostics) {
    return new Outcome(FinalStatus.FAILED, diagnostics, null);
  }

  public static Outcome failed(String diagnostics, int exitCode) {
    return new Outcome(FinalStatus.FAILED, diagnostics, exitCode);
  }

  public static Outcome killed(String diagnostics) {
    return new Outcome(FinalStatus.KILLED, diagnostics, null);
  }

  /** Reads what {@link #toJson} wrote, or what somebody sent with the same fields. */
  public static Outcome parse(JSONObject json) {
    String status = Json.string(json, "final_status", FinalStatus.SUCCEEDED.name());
    String diagnostics = Json.string(json, "diagnostics", "");
    Integer exitCode =
        Json.has(json, "exit_code") ? (Integer) (int) Json.integer(json, "exit_code") : null;
    for (FinalStatus choice : FinalStatus.values()) {
      if (choice.name().equals(status)) {
        return new Outcome(choice, diagnostics, exitCode);
      }
    }
    throw new InvalidInput(
        "final_status is " + status + "; it has to be SUCCEEDED, FAILED or KILLED");
  }

  public JSONObject toJson() {
    return new JSONObject()
        .put("final_status", finalStatus.name())
        .put("diagnostics", diagnostics)
        .put("exit_code", Json.orNull(exitCode));
  }
}
