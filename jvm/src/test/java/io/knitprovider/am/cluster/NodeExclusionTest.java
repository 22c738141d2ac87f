package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.state.ExitVerdict.Blame;
import java.util.Arrays;
import java.util.Collections;
import org.junit.jupiter.api.Test;

class NodeExclusionTest {

  private final NodeExclusion exclusion = new NodeExclusion();

  @Test
  void whatIsTheNodesFaultExcludesItAtOnceByBothItsNames() {
    exclusion.note("n1:45454", Blame.AT_ONCE, 10, 0);
    assertTrue(exclusion.contains("n1:45454"));
    assertEquals(Arrays.asList("n1:45454", "n1"), exclusion.takeAdded());
    assertEquals(Collections.emptyList(), exclusion.takeAdded());
  }

  @Test
  void whatMayBeTheProgramsFaultHasToBeRepeated() {
    exclusion.note("n1:1", Blame.WHEN_REPEATED, 10, 0);
    assertFalse(exclusion.contains("n1:1"));
    exclusion.note("n1:1", Blame.WHEN_REPEATED, 10, 0);
    assertTrue(exclusion.contains("n1:1"));
  }

  @Test
  void whatIsNobodysFaultExcludesNothing() {
    exclusion.note("n1:1", Blame.NONE, 10, 0);
    assertFalse(exclusion.contains("n1:1"));
  }

  @Test
  void theLastNodesAreNeverExcluded() {
    exclusion.note("n1:1", Blame.AT_ONCE, 1, 0);
    assertFalse(exclusion.contains("n1:1"), "the only node");
    for (int node = 0; node < 9; node++) {
      exclusion.note("m" + node + ":1", Blame.AT_ONCE, 9, 0);
    }
    assertEquals(6, exclusion.takeAdded().size(), "three of nine nodes, two names each");
  }

  @Test
  void itIsForgivenAfterTenMinutes() {
    exclusion.note("n1:1", Blame.AT_ONCE, 2, 0);
    exclusion.expire(599_999);
    assertTrue(exclusion.contains("n1:1"));
    exclusion.expire(600_000);
    assertFalse(exclusion.contains("n1:1"));
    assertEquals(Arrays.asList("n1:1", "n1"), exclusion.takeRemoved());
  }
}
