package io.knitprovider.am;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Collections;
import org.junit.jupiter.api.Test;

class SilenceTest {

  private static boolean tells(String unheard, String own, long steadyMs, boolean wasAway) {
    return Silence.tells(Collections.singleton(unheard), own, steadyMs, wasAway);
  }

  @Test
  void tenSecondsAreEnoughWhereTheResourceManagerWasThereAllAlong() {
    String own = "container_e17_1700000000000_0001_02_000001";
    String earlier = "container_e17_1700000000000_0001_01_000002";
    assertFalse(tells(earlier, own, 9_999, false));
    assertTrue(tells(earlier, own, 10_000, false));
    assertTrue(tells("container_1_0001_01_000002", "container_1_0001_02_000001", 10_000, false));
  }

  @Test
  void nodesMayComeBackLateToOneThatWasStartedSince() {
    String own = "container_e18_1700000000000_0001_02_000001";
    String earlier = "container_e17_1700000000000_0001_01_000002";
    assertFalse(tells(earlier, own, 89_999, false));
    assertTrue(tells(earlier, own, 90_000, false));
  }

  @Test
  void nodesMayComeBackLateToOneThatWasAway() {
    String own = "container_1_0001_02_000001";
    assertFalse(tells("container_1_0001_01_000002", own, 89_999, true));
    assertTrue(tells("container_1_0001_01_000002", own, 90_000, true));
  }
}
