package io.knitprovider.am.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.state.LateJournal;
import io.knitprovider.am.state.Outcome;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Staging, ledger and journal on the local filesystem, through Hadoop's own classes. */
class StoreTest {

  @TempDir Path folder;

  private final FakeClock clock = new FakeClock();
  private final CompletableFuture<String> unwritable = new CompletableFuture<>();
  private Staging staging;
  private Path ledgerFile;

  @BeforeEach
  void open() throws IOException {
    Path app = Files.createDirectories(folder.resolve("apps/application_1_0001"));
    ledgerFile = folder.resolve("ledger/rm/application_1_0001");
    Configuration conf = new Configuration();
    // The default local filesystem holds back what is flushed, for its checksums; HDFS does not.
    conf.set("fs.AbstractFileSystem.file.impl", "org.apache.hadoop.fs.local.RawLocalFs");
    staging = Staging.open(app.toUri().toString(), conf);
  }

  private Ledger ledger(String submission, int attempt, String container) {
    return new Ledger(
        staging,
        ledgerFile.toUri().toString(),
        new FakeClock(),
        "application_1_0001",
        submission,
        attempt,
        container);
  }

  private List<JSONObject> read(int attempt) throws IOException {
    List<JSONObject> entries = new ArrayList<>();
    JournalReader.before(attempt, staging, entries::add);
    return entries;
  }

  private String text(Path file) throws IOException {
    return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
  }

  @Test
  void theFirstAttemptClaimsTheLedgerAndItsFolder() throws IOException {
    assertEquals(Ledger.Claim.OURS, ledger("s1", 1, "c1").claim());
    JSONObject written = new JSONObject(text(ledgerFile));
    assertEquals("s1", written.getString("submission_id"));
    assertEquals("c1", written.getString("container_id"));
    assertTrue(written.isNull("outcome"));
    assertEquals(
        "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(ledgerFile)));
  }

  @Test
  void claimingAgainAfterALostReplyIsStillOurs() throws IOException {
    ledger("s1", 1, "c1").claim();
    assertEquals(Ledger.Claim.OURS, ledger("s1", 1, "c1").claim());
  }

  @Test
  void anotherSubmissionsLedgerIsLeftAsItIs() throws IOException {
    ledger("s1", 1, "c1").claim();
    String before = text(ledgerFile);
    assertEquals(Ledger.Claim.TAKEN, ledger("s2", 1, "c2").claim());
    assertEquals(Ledger.Claim.TAKEN, ledger("s2", 2, "c3").claim());
    assertEquals(before, text(ledgerFile));
    assertEquals(0, staging.names(".knit-").size(), "nothing is left aside");
  }

  @Test
  void theSameSubmissionRunAFirstTimeTwiceIsRefused() throws IOException {
    ledger("s1", 1, "c1").claim();
    assertEquals(Ledger.Claim.TAKEN, ledger("s1", 1, "c2").claim());
  }

  @Test
  void aLaterAttemptGoesOnOrBeginsWhereTheFirstNeverGotSoFar() throws IOException {
    assertEquals(Ledger.Claim.OURS, ledger("s1", 2, "c2").claim());
    assertEquals(Ledger.Claim.OURS, ledger("s1", 3, "c3").claim());
  }

  @Test
  void anOutcomeInTheLedgerIsTheOutcome() throws IOException {
    Ledger first = ledger("s1", 1, "c1");
    first.claim();
    assertNull(first.outcome());
    first.finish(Outcome.failed("why", 3), new JSONArray());
    Ledger second = ledger("s1", 2, "c2");
    assertEquals(Ledger.Claim.ALREADY_OVER, second.claim());
    assertEquals(3, second.outcome().exitCode);
    assertEquals("why", second.outcome().diagnostics);
  }

  @Test
  void aLedgerThatCannotBeReadIsSomebodyElses() throws IOException {
    Files.createDirectories(ledgerFile.getParent());
    Files.write(ledgerFile, "garbage".getBytes(StandardCharsets.UTF_8));
    assertEquals(Ledger.Claim.TAKEN, ledger("s1", 1, "c1").claim());
    assertEquals("garbage", text(ledgerFile));
  }

  @Test
  void theJournalIsReadBackByTheNextAttemptInOrder() throws Exception {
    Journal journal = new Journal(1, clock);
    journal.write(new JSONObject().put("event", "before it was open"));
    journal.open(staging, unwritable::complete);
    for (int i = 0; i < 50; i++) {
      journal.write(new JSONObject().put("event", "e" + i));
    }
    assertTrue(journal.awaitFlush(10_000));
    journal.close(10_000);
    List<JSONObject> read = read(2);
    assertEquals(51, read.size());
    assertEquals("before it was open", read.get(0).getString("event"));
    assertEquals("e49", read.get(50).getString("event"));
    assertTrue(read(1).isEmpty(), "only earlier attempts count");
  }

  @Test
  void whatFollowsAnEntryWaitsUntilItIsSafe() throws Exception {
    Journal journal = new Journal(1, clock);
    journal.write(new JSONObject().put("event", "launch"));
    List<String> seen = new ArrayList<>();
    journal.afterFlush(
        () -> {
          try {
            read(2).forEach(e -> seen.add(e.getString("event")));
          } catch (IOException e) {
            seen.add(e.toString());
          }
        });
    assertFalse(journal.awaitFlush(50), "nothing is safe before the journal is open");
    journal.open(staging, unwritable::complete);
    assertTrue(journal.awaitFlush(10_000));
    assertEquals(java.util.Collections.singletonList("launch"), seen);
    journal.close(10_000);
  }

  @Test
  void aFolderThatIsGoneIsNotWaitedFor() throws Exception {
    Journal journal = new Journal(1, clock);
    staging.delete();
    journal.write(new JSONObject().put("event", "launch"));
    journal.open(staging, unwritable::complete);
    assertTrue(unwritable.get(30, TimeUnit.SECONDS).contains("FileNotFoundException"));
    assertTrue(
        assertThrows(LateJournal.class, () -> journal.mustFlush(20))
            .getMessage()
            .contains("kept or not"));
    journal.close(1);
  }

  @Test
  void aFilesystemThatIsAwayIsWaitedForAndNothingEmptyIsLeft() throws Exception {
    Path app = folder.resolve("apps/application_1_0001");
    Files.delete(app);
    Files.createFile(app); // where the folder should be
    Journal journal = new Journal(1, clock);
    journal.write(new JSONObject().put("event", "launch"));
    journal.open(staging, unwritable::complete);
    assertFalse(journal.awaitFlush(400));
    assertFalse(unwritable.isDone(), "it may be back in a moment");
    clock.pass(Journal.PATIENCE_MS);
    assertTrue(unwritable.get(30, TimeUnit.SECONDS).contains("application_1_0001"));
    Files.delete(app);
    Files.createDirectory(app);
    assertTrue(journal.awaitFlush(30_000), "there are tries all the same");
    journal.close(10_000);
    assertEquals("[journal-1]", staging.names("journal-").toString());
    assertEquals(1, read(2).size());
  }

  @Test
  void partsAndAttemptsAreReadInTheirOrderAndRepeatedEntriesOnce() throws IOException {
    staging.replace("journal-2", "{\"n\":1,\"event\":\"c\"}\n");
    staging.replace("journal-10", "{\"n\":1,\"event\":\"d\"}\n");
    staging.replace("journal-1.2", "{\"n\":1,\"event\":\"a\"}\n{\"n\":2,\"event\":\"b\"}\n");
    staging.replace("journal-1", "{\"n\":1,\"event\":\"a\"}\n{\"n\":2,\"ev");
    staging.replace("journal-x", "{}\n");
    List<String> events = new ArrayList<>();
    read(11).forEach(entry -> events.add(entry.getString("event")));
    assertEquals("[a, b, c, d]", events.toString());
  }

  @Test
  void theFolderIsRemovedWithAllThatIsInItAndMayBeGone() throws IOException {
    staging.replace("am.json", "{}");
    assertTrue(staging.modified("am.json") > 0);
    assertEquals(0, staging.modified("lease"));
    staging.delete();
    assertFalse(Files.exists(folder.resolve("apps/application_1_0001")));
    staging.delete();
  }
}
