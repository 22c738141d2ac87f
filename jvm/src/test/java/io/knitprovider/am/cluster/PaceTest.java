package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PaceTest {

  @ParameterizedTest
  @CsvSource({
    // quiet for, wants containers, pause
    "0, true, 50",
    "2999, true, 50",
    "3000, true, 200",
    "15000, true, 1000",
    "900000, true, 1000",
    "0, false, 200",
    "5000, false, 500",
    "60000, false, 1000",
    "599999, false, 1000",
    "600000, false, 5000",
  })
  void thePauseGrowsWithTheQuiet(long quiet, boolean wants, long pause) {
    Pace pace = new Pace(0);
    pace.event(1_000);
    assertEquals(pause, pace.pause(1_000 + quiet, wants));
  }
}
