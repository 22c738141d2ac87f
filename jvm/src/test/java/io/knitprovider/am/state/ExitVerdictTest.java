package io.knitprovider.am.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ExitVerdictTest {

  @ParameterizedTest
  @CsvSource({
    "0, SUCCEEDED, NONE",
    "-100, LOST, NONE",
    "-101, LOST, AT_ONCE",
    "-102, PREEMPTED, NONE",
    "-103, FAILED, NONE",
    "-104, FAILED, NONE",
    "-105, LOST, NONE",
    "-106, LOST, NONE",
    "-107, LOST, NONE",
    "-108, PREEMPTED, NONE",
    "-109, FAILED, NONE",
    "-1000, FAILED, AT_ONCE",
    "1, FAILED, WHEN_REPEATED",
    "137, FAILED, WHEN_REPEATED",
    "143, FAILED, WHEN_REPEATED",
  })
  void everyStatusHasItsMeaning(int status, ExitVerdict.Kind kind, ExitVerdict.Blame blame) {
    ExitVerdict verdict = ExitVerdict.of(status);
    assertEquals(kind, verdict.kind);
    assertEquals(blame, verdict.blame);
  }

  @Test
  void whatEndedWithItsAttemptMayHaveRun() {
    assertTrue(ExitVerdict.endedWithItsAttempt(-100, "Container of a completed application"));
    assertTrue(ExitVerdict.endedWithItsAttempt(-105, ""));
    assertFalse(ExitVerdict.endedWithItsAttempt(-100, "Container released on a *lost* node"));
    assertFalse(ExitVerdict.endedWithItsAttempt(1, ""));
  }
}
