package io.knitprovider.am.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

class LeaseTest {

  private final FakeClock clock = new FakeClock();
  private final Lease lease = new Lease(clock, true, 90);

  @Test
  void itExpiresWhenNobodyRenewsIt() {
    clock.pass(89_999);
    assertFalse(lease.isExpired());
    assertEquals(1L, lease.remainingMs());
    clock.pass(1);
    assertTrue(lease.isExpired());
    assertEquals(0L, lease.remainingMs());
  }

  @Test
  void renewingGivesItItsWholeLengthAgain() {
    clock.pass(80_000);
    lease.renew();
    clock.pass(80_000);
    assertFalse(lease.isExpired());
  }

  @Test
  void aDetachedApplicationHasNone() {
    lease.detach();
    clock.pass(1_000_000);
    assertFalse(lease.isExpired());
    assertNull(lease.remainingMs());
    assertFalse(lease.isBound());
  }

  @Test
  void aTouchedFileRenewsItOnce() {
    long[] touched = {5};
    LeaseWatch watch = new LeaseWatch(lease, clock, () -> touched[0], 5, () -> {});
    clock.pass(60_000);
    watch.lookAtFileIfDue();
    assertEquals(30_000L, lease.remainingMs(), "the file is as old as the attempt");
    touched[0] = 6;
    clock.pass(10_000);
    watch.lookAtFileIfDue();
    assertEquals(90_000L, lease.remainingMs());
    clock.pass(60_000);
    watch.lookAtFileIfDue();
    assertEquals(30_000L, lease.remainingMs(), "the same touch counts once");
  }

  @Test
  void theFileIsLookedAtOnlyWhenTheLeaseIsLowAndNotTooOften() {
    int[] looks = {0};
    LeaseWatch watch =
        new LeaseWatch(
            lease,
            clock,
            () -> {
              looks[0]++;
              return 0;
            },
            0,
            () -> {});
    for (int second = 0; second < 29; second++) {
      clock.pass(1_000);
      watch.lookAtFileIfDue();
    }
    assertEquals(0, looks[0]);
    for (int second = 0; second < 30; second++) {
      clock.pass(1_000);
      watch.lookAtFileIfDue();
    }
    assertEquals(3, looks[0]);
  }

  @Test
  void aFilesystemThatFailsRenewsNothing() {
    LeaseWatch watch =
        new LeaseWatch(
            lease,
            clock,
            () -> {
              throw new IOException("away");
            },
            0,
            () -> {});
    clock.pass(60_000);
    watch.lookAtFileIfDue();
    assertEquals(30_000L, lease.remainingMs());
  }

  @Test
  void theLeaseBeginsAnewWhenTheFileCanFirstBeLookedAt() {
    clock.pass(100_000); // while the filesystem was away
    AtomicBoolean expired = new AtomicBoolean();
    new LeaseWatch(lease, clock, () -> 0, 0, () -> expired.set(true)).start();
    assertEquals(90_000L, lease.remainingMs());
    assertFalse(expired.get());
    lease.detach(); // ends the two threads
  }
}
