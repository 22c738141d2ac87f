package io.knitprovider.am.store;

import io.knitprovider.am.Clock;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.io.IOException;
import org.apache.hadoop.fs.Path;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * The one file that says, for good, that an application id has been used. YARN runs a submission
 * again whose id it has forgotten; whoever finds the file of another submission runs nothing.
 */
public final class Ledger {

  /** What the first look into the ledger says. */
  public enum Claim {
    /** The id is ours: go on. */
    OURS,
    /** It is ours, and an earlier attempt has already written how it ended. */
    ALREADY_OVER,
    /** The id belongs to another submission: launch nothing. */
    TAKEN
  }

  private static final int VERSION = 1;

  private final Staging staging;
  private final Path file;
  private final Clock clock;
  private final String applicationId;
  private final String submissionId;
  private final int attempt;
  private final String containerId;
  private JSONObject content;

  /**
   * @param containerId the ApplicationMaster's own container
   */
  public Ledger(
      Staging staging,
      String file,
      Clock clock,
      String applicationId,
      String submissionId,
      int attempt,
      String containerId) {
    this.staging = staging;
    this.file = new Path(file);
    this.clock = clock;
    this.applicationId = applicationId;
    this.submissionId = submissionId;
    this.attempt = attempt;
    this.containerId = containerId;
  }

  /**
   * Writes the file unless there is one, and says whose it is. May be called again after a throw.
   */
  public Claim claim() throws IOException {
    JSONObject mine =
        new JSONObject()
            .put("version", VERSION)
            .put("application_id", applicationId)
            .put("submission_id", submissionId)
            .put("attempt", attempt)
            .put("container_id", containerId)
            .put("started_ms", clock.wallMs())
            .put("outcome", JSONObject.NULL);
    if (staging.createOnce(file, mine.toString())) {
      content = mine;
      return Claim.OURS;
    }
    String found = staging.read(file);
    if (found == null) {
      throw new IOException(file + " was there and is gone: somebody removes ledgers");
    }
    return judge(found);
  }

  private Claim judge(String text) {
    try {
      content = Json.parse(text, file.toString());
      boolean sameSubmission = submissionId.equals(Json.string(content, "submission_id", ""));
      boolean sameContainer = containerId.equals(Json.string(content, "container_id", ""));
      if (!sameSubmission || (attempt == 1 && !sameContainer)) {
        return Claim.TAKEN;
      }
      return Json.has(content, "outcome") ? Claim.ALREADY_OVER : Claim.OURS;
    } catch (InvalidInput e) {
      content =
          new JSONObject(); // a ledger that cannot be read proves nothing but that it is there
      return Claim.TAKEN;
    }
  }

  /** How the application ended according to the ledger; only after a claim. */
  public Outcome outcome() {
    return Json.has(content, "outcome") ? Outcome.parse(Json.object(content, "outcome")) : null;
  }

  /** Says how the application ended, for whoever asks when YARN no longer knows. */
  public void finish(Outcome outcome, JSONArray containers) throws IOException {
    content.put(
        "outcome",
        outcome.toJson().put("finished_ms", clock.wallMs()).put("containers", containers));
    staging.replace(file, content.toString());
  }
}
