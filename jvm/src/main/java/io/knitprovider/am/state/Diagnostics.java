package io.knitprovider.am.state;

import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Puts a container's end into words: which one, what it said last, and what may help. */
public final class Diagnostics {

  /** YARN keeps diagnostics in its state store; longer ones are cut there, without notice. */
  public static final int MOST_BYTES = 30_000;

  private static final int TAIL_CHARS = 4_000;
  private static final int WORDS_CHARS = 1_500;

  /** A NodeManager's heading of the part of a container's diagnostics that is the end of a file. */
  private static final Pattern FILE_END =
      Pattern.compile("^Last \\d+ bytes of (\\S+) ?:[ \\t]*$", Pattern.MULTILINE);

  /**
   * What comes after such a part: a new time-stamped report of the NodeManager, or another part.
   */
  private static final Pattern NEXT_PART =
      Pattern.compile("^(\\[\\d{4}-\\d\\d-\\d\\d |Last \\d+ bytes of )", Pattern.MULTILINE);

  /** The lines of a Java stack, which says nothing to those who read this. */
  private static final Pattern STACK = Pattern.compile("at |Caused by: |\\.\\.\\. \\d+ more");

  private static final Pattern TIME_STAMP =
      Pattern.compile("^\\[\\d{4}-\\d\\d-\\d\\d [0-9:.,]+\\]", Pattern.MULTILINE);

  private Diagnostics() {}

  /** The last lines that the container wrote to stderr, as its NodeManager reports them; or "". */
  public static String stderrTail(String diagnostics) {
    Matcher heading = FILE_END.matcher(diagnostics);
    while (heading.find()) {
      if (!heading.group(1).toLowerCase(java.util.Locale.ROOT).contains("stderr")) {
        continue;
      }
      Matcher next = NEXT_PART.matcher(diagnostics);
      int end = next.find(heading.end()) ? next.start() : diagnostics.length();
      String tail = trimEnd(diagnostics.substring(heading.end(), end));
      tail = tail.startsWith("\n") ? tail.substring(1) : tail;
      if (!tail.isEmpty()) {
        return lastChars(tail, TAIL_CHARS);
      }
    }
    return "";
  }

  /** Says how a container failed, for people who have nothing but this text. */
  static String failure(
      ServiceSpec service, ContainerRecord container, String diagnostics, int restarts) {
    StringBuilder text = new StringBuilder();
    text.append("Service ").append(service.name).append(" failed: container ");
    text.append(container.id).append(" (index ").append(container.index);
    text.append(", on ").append(container.node).append(") ");
    text.append(ending(container.exitCode, service, container.resources));
    if (restarts > 0) {
      text.append(", after ").append(restarts);
      text.append(restarts == 1 ? " restart" : " restarts").append(" of the service");
      text.append(" (max_restarts ").append(service.maxRestarts).append(')');
    }
    text.append('.');
    String tail = stderrTail(diagnostics);
    if (!tail.isEmpty()) {
      text.append("\nLast lines of its stderr:\n").append(tail);
    } else {
      String words = words(diagnostics);
      text.append(words.isEmpty() ? "" : "\n").append(words);
    }
    return text.toString();
  }

  /** "ended with exit code 3", or what YARN's own codes stand for, with the way out. */
  private static String ending(Integer exitCode, ServiceSpec service, Resources asked) {
    if (exitCode == null) {
      return "was started by an earlier attempt of the ApplicationMaster and nobody knows how it"
          + " ended; it is not run a second time";
    }
    String limit = asked.memory() + " MiB";
    String raise = "; raise resources.memory of service " + service.name;
    switch (exitCode) {
      case ExitVerdict.EXCEEDED_PHYSICAL_MEMORY:
        return "was killed (exit code -104) for using more memory than its " + limit + raise;
      case ExitVerdict.EXCEEDED_VIRTUAL_MEMORY:
        return "was killed (exit code -103) for using more virtual memory than its "
            + limit
            + " allow"
            + raise
            + ", or let the cluster set yarn.nodemanager.vmem-check-enabled to false";
      case ExitVerdict.EXCESS_LOGS:
        return "was killed (exit code -109) for writing more logs than the cluster allows";
      case ExitVerdict.INVALID:
        return "could not be started (exit code -1000), mostly because a file of its own could not"
            + " be fetched";
      case ExitVerdict.SIGKILLED:
        return "was killed by SIGKILL (exit code 137); where nobody sent it, the node had run out"
            + " of memory: it had asked for "
            + limit;
      case ExitVerdict.SIGTERMED:
        return "was ended by SIGTERM (exit code 143); where nobody sent it, it may have used more"
            + " memory than its "
            + limit;
      case 127:
        return "ended with exit code 127 (command not found)";
      case 126:
        return "ended with exit code 126 (command not executable)";
      default:
        return "ended with exit code " + exitCode;
    }
  }

  /** YARN's own words, without the time stamps, the process tree and the empty lines. */
  static String words(String diagnostics) {
    String text = TIME_STAMP.matcher(diagnostics).replaceAll("");
    int tree = text.indexOf("Dump of the process-tree");
    if (tree >= 0) {
      text = text.substring(0, tree);
    }
    StringBuilder kept = new StringBuilder();
    String last = null;
    for (String line : text.split("\n")) {
      String trimmed = line.trim();
      boolean repeats = last != null && trimmed.endsWith(last);
      if (!trimmed.isEmpty() && !repeats && !STACK.matcher(trimmed).lookingAt()) {
        last = trimmed;
        kept.append(kept.length() == 0 ? "" : "\n").append(trimmed);
      }
    }
    return kept.length() <= WORDS_CHARS ? kept.toString() : kept.substring(0, WORDS_CHARS) + "…";
  }

  /** The text's beginning, of at most so many bytes in UTF-8. */
  public static String clip(String text, int bytes) {
    byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
    if (encoded.length <= bytes) {
      return text;
    }
    int end = bytes - "…".getBytes(StandardCharsets.UTF_8).length;
    while (end > 0 && (encoded[end] & 0xC0) == 0x80) {
      end--;
    }
    return new String(encoded, 0, end, StandardCharsets.UTF_8) + "…";
  }

  static String lastChars(String text, int chars) {
    return text.length() <= chars ? text : "…" + text.substring(text.length() - chars);
  }

  private static String trimEnd(String text) {
    int end = text.length();
    while (end > 0 && Character.isWhitespace(text.charAt(end - 1))) {
      end--;
    }
    return text.substring(0, end);
  }
}
