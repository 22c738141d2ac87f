package io.knitprovider.am;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the NodeManager and our launcher tell the ApplicationMaster's process. */
public final class AmEnvironment {

  private static final String SPEC_FILE = "knit-spec.json";

  /** Read by ourselves: Hadoop's own class for it loads half of Hadoop first. */
  private static final Pattern CONTAINER =
      Pattern.compile("container_(?:e\\d+_)?(\\d+_\\d+)_(\\d+)_\\d+");

  /** Id of our own container. */
  public final String containerId;

  public final String applicationId;

  /** Number of this attempt, from 1. */
  public final int attempt;

  /** The node's name as its NodeManager gives it. */
  public final String host;

  /** A folder whose files YARN keeps as our logs. */
  public final File logDir;

  /** When the launcher began, in milliseconds since the epoch; 0 where it could not say. */
  public final long launchedMs;

  /**
   * When the application was submitted, in milliseconds since the epoch; 0 where YARN is silent.
   */
  public final long submittedMs;

  private AmEnvironment(
      String containerId, String host, File logDir, long launchedMs, long submittedMs) {
    this.containerId = containerId;
    Matcher parts = CONTAINER.matcher(containerId);
    if (!parts.matches()) {
      throw new IllegalStateException("CONTAINER_ID is " + containerId + ", no container id");
    }
    this.applicationId = "application_" + parts.group(1);
    this.attempt = Integer.parseInt(parts.group(2));
    this.host = host;
    this.logDir = logDir;
    this.launchedMs = launchedMs;
    this.submittedMs = submittedMs;
  }

  static AmEnvironment read(Map<String, String> environment) {
    String launched = System.getProperty("knit.launched", "");
    return new AmEnvironment(
        require(environment, "CONTAINER_ID"),
        require(environment, "NM_HOST"),
        new File(environment.getOrDefault("LOG_DIRS", ".").split(",")[0]),
        milliseconds(launched),
        milliseconds(environment.getOrDefault("APP_SUBMIT_TIME_ENV", "")));
  }

  private static long milliseconds(String text) {
    return text.matches("\\d{13}") ? Long.parseLong(text) : 0;
  }

  private static String require(Map<String, String> environment, String name) {
    String value = environment.get(name);
    if (value == null || value.isEmpty()) {
      throw new IllegalStateException(
          name + " is not set: the ApplicationMaster is to be started by a YARN NodeManager");
    }
    return value;
  }

  /** The application's document, which YARN has put into our working directory. */
  static String readSpec() throws IOException {
    return new String(Files.readAllBytes(Paths.get(SPEC_FILE)), StandardCharsets.UTF_8);
  }
}
