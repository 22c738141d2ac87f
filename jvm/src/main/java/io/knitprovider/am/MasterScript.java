package io.knitprovider.am;

import io.knitprovider.am.state.Diagnostics;
import io.knitprovider.am.state.Outcome;
import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The user's script that runs beside the ApplicationMaster; its end is the application's. It must
 * not outlive us, or the next attempt would run it twice: a watcher in the same session ends it
 * when the pipe from us breaks, however we went.
 */
final class MasterScript {

  /**
   * Runs the script in a process group of its own. $1 is the script. File descriptor 3 is our end
   * of the pipe, which the script itself does not get.
   */
  private static final String WATCHER =
      "exec 3<&0; set -m; /bin/bash \"./$1\" 3<&- </dev/null & child=$!;"
          + " { read -r -u 3 _; kill -TERM -- -$child; sleep 5; kill -KILL -- -$child; }"
          + " >/dev/null 2>&1 & watcher=$!;"
          + " set +m; exec 3<&-; wait $child; code=$?; kill -KILL -- -$watcher 2>/dev/null; exit $code";

  private static final int TAIL_BYTES = 4_096;
  private static final String TOKEN_FILE = "knit-master-tokens";

  private final String script;
  private final File stderr;
  private final ProcessBuilder builder;
  private byte[] tokens;
  private Process process;
  private boolean stopping;

  /**
   * @param script name of the script in the working directory
   * @param environment what the script finds besides the ApplicationMaster's own variables
   * @param tokens serialized credentials, the containers' and not our own
   */
  MasterScript(String script, File logDir, Map<String, String> environment, byte[] tokens) {
    this.script = script;
    this.tokens = tokens;
    stderr = new File(logDir, "master.stderr");
    builder = new ProcessBuilder("/bin/bash", "-c", WATCHER, "knit-master", script);
    builder.redirectOutput(new File(logDir, "master.stdout"));
    builder.redirectError(stderr);
    builder.environment().keySet().removeIf(name -> name.startsWith("KNIT_AM_"));
    builder.environment().putAll(environment);
    builder
        .environment()
        .put("HADOOP_TOKEN_FILE_LOCATION", Paths.get(TOKEN_FILE).toAbsolutePath().toString());
  }

  /** Starts the script and says later, in a thread of its own, how it ended. */
  synchronized void start(Consumer<Outcome> onEnd) throws IOException {
    if (stopping) {
      return;
    }
    writeTokens(Paths.get(TOKEN_FILE));
    process = builder.start();
    Log.info("started " + script);
    Thread waiter = new Thread(() -> await(onEnd), "master-script");
    waiter.setDaemon(true);
    waiter.start();
  }

  /** Newer credentials for the script, in the file that it knows of already. */
  synchronized void replaceTokens(byte[] newer) throws IOException {
    tokens = newer;
    if (process != null) {
      writeTokens(Paths.get(TOKEN_FILE));
    }
  }

  /** Whoever reads the file meanwhile sees the old content or the new one. */
  private void writeTokens(Path file) throws IOException {
    Path aside = Paths.get(TOKEN_FILE + ".new");
    writePrivately(aside);
    Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE);
  }

  private void writePrivately(Path file) throws IOException {
    try (FileChannel out =
        FileChannel.open(
            file,
            EnumSet.of(
                StandardOpenOption.CREATE,
                StandardOpenOption.WRITE,
                StandardOpenOption.TRUNCATE_EXISTING),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
      ByteBuffer buffer = ByteBuffer.wrap(tokens);
      while (buffer.hasRemaining()) {
        out.write(buffer);
      }
    }
  }

  private void await(Consumer<Outcome> onEnd) {
    try {
      int code = process.waitFor();
      onEnd.accept(outcome(code));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private Outcome outcome(int code) {
    if (code == 0) {
      return Outcome.succeeded("the master script ended with exit code 0");
    }
    String tail = tail();
    return Outcome.failed(
        "The master script ended with exit code "
            + code
            + "."
            + (tail.isEmpty() ? "" : "\nLast lines of its stderr:\n" + tail),
        code);
  }

  private String tail() {
    try (RandomAccessFile file = new RandomAccessFile(stderr, "r")) {
      long length = file.length();
      byte[] bytes = new byte[(int) Math.min(length, TAIL_BYTES)];
      file.seek(length - bytes.length);
      file.readFully(bytes);
      return Diagnostics.clip(new String(bytes, StandardCharsets.UTF_8).trim(), TAIL_BYTES);
    } catch (IOException e) {
      return "";
    }
  }

  /** Asks the script to end; it has 5 seconds. */
  synchronized void stop() {
    stopping = true;
    if (process != null) {
      try {
        process.getOutputStream().close();
      } catch (IOException e) {
        process.destroy();
      }
    }
  }
}
