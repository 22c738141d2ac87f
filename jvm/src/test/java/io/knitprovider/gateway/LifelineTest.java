package io.knitprovider.gateway;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.nio.file.Files;
import java.nio.file.Paths;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@EnabledOnOs(OS.LINUX)
class LifelineTest {

  @Test
  void aProcessIsKnownByWhenItStarted() throws Exception {
    long self = Long.parseLong(Files.readSymbolicLink(Paths.get("/proc/self")).toString());
    assertNotNull(Lifeline.startTime(self));
    assertEquals(Lifeline.startTime(self), Lifeline.startTime(self));
  }

  @Test
  void oneThatIsNotThereIsGone() {
    assertNull(Lifeline.startTime(Integer.MAX_VALUE));
  }

  @Test
  void oneThatHasEndedIsGone() throws Exception {
    Process ended = new ProcessBuilder("/bin/true").start();
    ended.waitFor();
    assertNull(Lifeline.startTime(pidOf(ended)));
  }

  private static long pidOf(Process process) throws Exception {
    java.lang.reflect.Field pid = process.getClass().getDeclaredField("pid");
    try {
      pid.setAccessible(true);
      return pid.getLong(process);
    } catch (RuntimeException e) {
      // Java 9 and later close the field and have a method.
      return (Long) Process.class.getMethod("pid").invoke(process);
    }
  }
}
