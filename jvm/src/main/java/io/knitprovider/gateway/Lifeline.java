package io.knitprovider.gateway;

import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.concurrent.TimeUnit;

/** Ends this JVM with its parent, however the parent died: no gateway survives its Python. */
final class Lifeline {

  private static final long POLL_MS = 1000;
  private static final long EXIT_GRACE_MS = 3000;

  private Lifeline() {}

  /** Returns never: the JVM exits when the other end of standard input is closed. */
  static void untilEndOfInput(Reader in) {
    char[] ignored = new char[256];
    try {
      while (in.read(ignored) >= 0) {
        // Nothing more is said on standard input; only its end means something.
      }
    } catch (IOException e) {
      // As good as the end.
    }
    exit();
  }

  /**
   * A copy of the pipe may live on in a process that the parent started, and keep standard input
   * open; so the parent itself is watched as well.
   */
  static void watchParent(long pid) {
    if (!Files.isDirectory(Paths.get("/proc/self"))) {
      // Elsewhere than on Linux the end of standard input has to do.
      return;
    }
    String born = startTime(pid);
    if (born == null) {
      exit();
    }
    Thread watcher =
        new Thread(
            () -> {
              while (born.equals(startTime(pid))) {
                try {
                  TimeUnit.MILLISECONDS.sleep(POLL_MS);
                } catch (InterruptedException e) {
                  return;
                }
              }
              exit();
            },
            "parent-watcher");
    watcher.setDaemon(true);
    watcher.start();
  }

  /**
   * When the process was started, in the kernel's ticks: with the pid it names a process for good,
   * as a pid alone does not.
   *
   * @return null where there is no such process, or only what is left of a dead one
   */
  static String startTime(long pid) {
    Path stat = Paths.get("/proc/" + pid + "/stat");
    try {
      String text = new String(Files.readAllBytes(stat), StandardCharsets.ISO_8859_1);
      // The second field is the command in parentheses, and may itself hold spaces and parentheses.
      String[] fields = text.substring(text.lastIndexOf(')') + 2).split(" ");
      boolean dead = fields[0].equals("Z") || fields[0].equals("X");
      return dead ? null : fields[19];
    } catch (IOException | RuntimeException e) {
      return null;
    }
  }

  private static void exit() {
    Thread hard =
        new Thread(
            () -> {
              try {
                TimeUnit.MILLISECONDS.sleep(EXIT_GRACE_MS);
              } catch (InterruptedException e) {
                // At once, then.
              }
              Runtime.getRuntime().halt(0);
            },
            "hard-exit");
    hard.setDaemon(true);
    hard.start();
    System.exit(0);
  }
}
