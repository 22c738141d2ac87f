package io.knitprovider.gateway;

import io.knitprovider.common.Json;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.json.JSONObject;

/**
 * Makes the archive of parsed classes (AppCDS) that lets the next gateway start sooner.
 *
 * <p>The JVM itself has written down which classes it loaded. A second, low-priority JVM turns the
 * list into an archive, and never outlives this one.
 */
final class ClassArchive {

  private static final long DELAY_MS = 5_000;
  private static final long LIMIT_S = 120;

  /**
   * The second JVM needs a quarter of this; in a container with a tight limit it would get all of
   * us killed.
   */
  private static final long ROOM = 1L << 30;

  private static final File NICE = new File("/usr/bin/nice");

  private final Path classes;
  private final Path target;
  private final AtomicBoolean begun = new AtomicBoolean();

  private ClassArchive(Path classes, Path target) {
    this.classes = classes;
    this.target = target;
    classes.toFile().deleteOnExit();
  }

  static ClassArchive wanted(JSONObject json) {
    return json == null
        ? null
        : new ClassArchive(
            Paths.get(Json.string(json, "classes")), Paths.get(Json.string(json, "target")));
  }

  void makeOnce() {
    if (begun.compareAndSet(false, true)) {
      Thread thread = new Thread(this::makeQuietly, "class-archive");
      thread.setDaemon(true);
      thread.start();
    }
  }

  private void makeQuietly() {
    try {
      // Let the first piece of work load all it needs, and have the machine for itself.
      Thread.sleep(DELAY_MS);
      if (roomInBytes() >= ROOM) {
        make();
      }
    } catch (IOException | InterruptedException | NumberFormatException e) {
      // It is only a cache: the next gateway starts as this one did, and tries again.
    }
  }

  /** Memory that is free on this machine and in this container; 0 where nothing says. */
  private static long roomInBytes() throws IOException {
    long room = 0;
    for (String line : Files.readAllLines(Paths.get("/proc/meminfo"))) {
      if (line.startsWith("MemAvailable:")) {
        room = 1024 * Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    String[][] cgroups = {
      {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
      {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}
    };
    for (String[] files : cgroups) {
      Path limit = Paths.get(files[0]);
      Path usage = Paths.get(files[1]);
      if (Files.isReadable(limit) && Files.isReadable(usage) && !read(limit).equals("max")) {
        room = Math.min(room, Long.parseLong(read(limit)) - Long.parseLong(read(usage)));
      }
    }
    return room;
  }

  private static String read(Path file) throws IOException {
    return new String(Files.readAllBytes(file), StandardCharsets.US_ASCII).trim();
  }

  private void make() throws IOException, InterruptedException {
    Path list = classes.resolveSibling(classes.getFileName() + ".list");
    Path archive = classes.resolveSibling(classes.getFileName() + ".part");
    list.toFile().deleteOnExit();
    archive.toFile().deleteOnExit();
    // The JVM goes on writing to its own; the last line may be half a one.
    String lines = new String(Files.readAllBytes(classes), StandardCharsets.UTF_8);
    String whole = lines.substring(0, lines.lastIndexOf('\n') + 1);
    Files.write(list, whole.getBytes(StandardCharsets.UTF_8));
    if (run(list, archive) == 0 && Files.size(archive) > 0) {
      Files.move(archive, target, StandardCopyOption.ATOMIC_MOVE);
    }
    Files.deleteIfExists(list);
    Files.deleteIfExists(archive);
  }

  private static int run(Path list, Path archive) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    if (NICE.canExecute()) {
      command.addAll(Arrays.asList(NICE.getPath(), "-n", "19"));
    }
    command.addAll(
        Arrays.asList(
            System.getProperty("java.home") + "/bin/java",
            "-XX:+UseSerialGC",
            "-Xlog:disable",
            "-Xshare:dump",
            "-XX:SharedClassListFile=" + list,
            "-XX:SharedArchiveFile=" + archive,
            "-cp",
            System.getProperty("java.class.path")));
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectInput(new File("/dev/null"))
            .redirectOutput(new File("/dev/null"))
            .start();
    Thread end = new Thread(process::destroyForcibly, "class-archive-end");
    Runtime.getRuntime().addShutdownHook(end);
    try {
      return process.waitFor(LIMIT_S, TimeUnit.SECONDS) ? process.exitValue() : -1;
    } finally {
      process.destroyForcibly();
      try {
        Runtime.getRuntime().removeShutdownHook(end);
      } catch (IllegalStateException e) {
        // The JVM ends already, and the hook runs.
      }
    }
  }
}
