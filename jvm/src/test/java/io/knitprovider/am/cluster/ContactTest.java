package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ContactTest {

  private final Contact contact = new Contact();

  @Test
  void timeCountsFromAnswerToAnswer() {
    assertEquals(0, contact.steadyMs());
    contact.answered(1_000, 1_100);
    assertEquals(0, contact.steadyMs());
    contact.answered(4_000, 4_100);
    assertEquals(3_000, contact.steadyMs());
    assertFalse(contact.wasBroken());
  }

  @Test
  void aFailureBeginsItAnew() {
    contact.answered(0, 0);
    contact.answered(3_000, 3_000);
    contact.failed();
    assertEquals(0, contact.steadyMs());
    contact.answered(60_000, 60_000);
    assertEquals(0, contact.steadyMs());
    assertTrue(contact.wasBroken());
  }

  @Test
  void anAnswerThatWasLongInComingIsTheFirstAfterABreak() {
    contact.answered(0, 0);
    contact.answered(1_000, 40_000);
    assertEquals(0, contact.steadyMs());
    assertTrue(contact.wasBroken());
  }

  @Test
  void itIsBegunWhenThereIsSomethingToWaitFor() {
    contact.answered(0, 0);
    contact.answered(50_000, 50_000);
    contact.begin();
    contact.answered(51_000, 51_000);
    assertEquals(0, contact.steadyMs());
    assertFalse(contact.wasBroken());
  }
}
