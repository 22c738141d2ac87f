package io.knitprovider.am.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.spec.ServiceSpec;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import org.junit.jupiter.api.Test;

class DiagnosticsTest {

  /** As NodeManagers of Hadoop 3.1 to 3.5 write it. */
  private static final String REPORT =
      "[2026-01-02 03:04:05.678]Exception from container-launch.\n"
          + "Container id: container_1_0001_01_000002\n"
          + "Exit code: 7\n\n"
          + "[2026-01-02 03:04:05.701]Container exited with a non-zero exit code 7. Error file:"
          + " prelaunch.err.\n"
          + "Last 4096 bytes of prelaunch.err :\n"
          + "Last 4096 bytes of stderr :\n"
          + "Traceback (most recent call last):\n"
          + "  KeyError: 'x'\n\n\n"
          + "[2026-01-02 03:04:05.702]Container exited with a non-zero exit code 7. Error file:"
          + " prelaunch.err.\n"
          + "Last 4096 bytes of prelaunch.err :\n"
          + "Last 4096 bytes of stderr :\n"
          + "Traceback (most recent call last):\n"
          + "  KeyError: 'x'\n\n\n";

  private static String failure(int exitCode, String diagnostics, int restarts) {
    ServiceSpec service = SpecBuilder.one(1, "max_restarts", 3).services.get(0);
    ContainerRecord container =
        new ContainerRecord(
            "container_1_0001_01_000002",
            "work",
            4,
            "node7:45454",
            "node7:8042",
            new Resources(128, 1, Collections.emptyMap()));
    container.exitCode = exitCode;
    return Diagnostics.failure(service, container, diagnostics, restarts);
  }

  @Test
  void theLastLinesOfStderrAreFound() {
    assertEquals(
        "Traceback (most recent call last):\n  KeyError: 'x'", Diagnostics.stderrTail(REPORT));
  }

  @Test
  void stderrThatSaysNothingIsEmpty() {
    assertEquals("", Diagnostics.stderrTail("Last 4096 bytes of stderr :\n\n\n"));
    assertEquals("", Diagnostics.stderrTail("Container killed on request."));
  }

  @Test
  void aFailureNamesContainerNodeCodeAndWords() {
    String text = failure(7, REPORT, 2);
    assertTrue(text.contains("container_1_0001_01_000002 (index 4, on node7:45454)"), text);
    assertTrue(text.contains("exit code 7, after 2 restarts of the service (max_restarts 3)."));
    assertTrue(text.endsWith("Last lines of its stderr:\n" + Diagnostics.stderrTail(REPORT)));
  }

  @Test
  void memoryKillsNameTheLimitAndWhatToRaise() {
    String words =
        "[2026-01-02 03:04:05.678]Container [pid=1,containerID=c] is running 9B beyond the"
            + " 'PHYSICAL' memory limit. Current usage: 400.0 MB of 128 MB physical memory used."
            + " Killing container.\nDump of the process-tree for c :\n\t|- PID PPID\n";
    String text = failure(-104, words, 0);
    assertTrue(text.contains("more memory than its 128 MiB; raise resources.memory of service"));
    assertTrue(text.contains("400.0 MB of 128 MB"), text);
    assertFalse(text.contains("PPID"), text);
    assertTrue(failure(-103, words, 0).contains("vmem-check-enabled"));
  }

  @Test
  void signalsAreExplained() {
    assertTrue(failure(137, "", 0).contains("SIGKILL"));
    assertTrue(failure(143, "", 0).contains("SIGTERM"));
    assertTrue(failure(127, "", 0).contains("command not found"));
  }

  @Test
  void yarnsOwnWordsAreSaidOnceAndWithoutStack() {
    assertEquals(
        "File does not exist: hdfs://x",
        Diagnostics.words(
            "[2026-01-02 03:04:05.678]File does not exist: hdfs://x\n"
                + "java.io.FileNotFoundException: File does not exist: hdfs://x\n"
                + "\tat org.apache.hadoop.X.y(X.java:1)\n"
                + "\t... 38 more\n"
                + "Caused by: java.net.ConnectException: Connection refused\n"));
  }

  @Test
  void textIsCutBetweenCharactersWithinItsBytes() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 20_000; i++) {
      text.append("ü");
    }
    String cut = Diagnostics.clip(text.toString(), Diagnostics.MOST_BYTES);
    assertTrue(cut.getBytes(StandardCharsets.UTF_8).length <= Diagnostics.MOST_BYTES);
    assertTrue(cut.endsWith("ü…"));
    assertEquals("short", Diagnostics.clip("short", 10));
  }
}
