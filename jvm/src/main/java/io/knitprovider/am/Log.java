package io.knitprovider.am;

import io.knitprovider.common.Errors;
import java.io.PrintStream;
import java.time.LocalDateTime;
import java.util.Locale;

/**
 * One line per event on stderr, which YARN keeps as the ApplicationMaster's log. Our own few lines,
 * because a logging framework costs start-up time and its configuration belongs to the node.
 */
public final class Log {

  private enum Level {
    DEBUG,
    INFO,
    WARN,
    ERROR
  }

  private static final Level THRESHOLD = threshold(System.getenv("KNIT_LOG_LEVEL"));

  private Log() {}

  public static void debug(String message) {
    write(Level.DEBUG, message);
  }

  public static void info(String message) {
    write(Level.INFO, message);
  }

  public static void warn(String message) {
    write(Level.WARN, message);
  }

  /** A warning with what went wrong, without its stack. */
  public static void warn(String message, Throwable cause) {
    write(Level.WARN, message + ": " + describe(cause));
    if (THRESHOLD == Level.DEBUG) {
      cause.printStackTrace();
    }
  }

  /** An error of our own, with its stack: somebody will have to find the place. */
  public static void error(String message, Throwable cause) {
    write(Level.ERROR, message + ": " + describe(cause));
    cause.printStackTrace();
  }

  /** The error's class and words on one line. */
  public static String describe(Throwable cause) {
    Throwable actual = Errors.unwrap(cause);
    return actual.getClass().getSimpleName()
        + ": "
        + Errors.message(actual).replace('\n', ' ').trim();
  }

  private static void write(Level level, String message) {
    if (level.compareTo(THRESHOLD) < 0) {
      return;
    }
    String line = stamp(LocalDateTime.now()) + " " + level + " " + message;
    PrintStream err = System.err;
    synchronized (err) {
      err.println(line);
      err.flush();
    }
  }

  /**
   * Like {@code 2026-01-31 09:05:00.042}. A formatter takes 50 ms to load, when every one counts.
   */
  static String stamp(LocalDateTime time) {
    StringBuilder text = new StringBuilder(23);
    digits(text, time.getYear(), 4).append('-');
    digits(text, time.getMonthValue(), 2).append('-');
    digits(text, time.getDayOfMonth(), 2).append(' ');
    digits(text, time.getHour(), 2).append(':');
    digits(text, time.getMinute(), 2).append(':');
    digits(text, time.getSecond(), 2).append('.');
    return digits(text, time.getNano() / 1_000_000, 3).toString();
  }

  private static StringBuilder digits(StringBuilder text, int number, int width) {
    String written = Integer.toString(number);
    for (int i = written.length(); i < width; i++) {
      text.append('0');
    }
    return text.append(written);
  }

  private static Level threshold(String name) {
    String wanted = name == null ? "" : name.trim().toUpperCase(Locale.ROOT);
    for (Level level : Level.values()) {
      if (level.name().equals(wanted)) {
        return level;
      }
    }
    return Level.INFO;
  }
}
