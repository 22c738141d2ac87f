package io.knitprovider.am.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class RecoveryTest {

  private static final Resources SMALL = new Resources(128, 1, Collections.emptyMap());

  private final FakeClock clock = new FakeClock();
  private final List<JSONObject> journal = new ArrayList<>();
  private int containers = 1;
  private ApplicationState second;
  private Recovery recovery;

  private ApplicationState first(ApplicationSpec spec) {
    ApplicationState state = new ApplicationState(spec, clock, journal::add);
    state.begin();
    return state;
  }

  private String run(ApplicationState state) {
    AskGroup group = state.wanted().keySet().iterator().next();
    String id = "container_1_0001_01_" + (++containers);
    state.place(group, id, "n1:1", "n1:2", SMALL);
    state.started(id);
    return id;
  }

  /** A second attempt that reads the journal of the first, as text and back. */
  private void takeOver(ApplicationSpec spec, String... survivors) {
    List<JSONObject> read = new ArrayList<>();
    journal.forEach(entry -> read.add(new JSONObject(entry.toString())));
    second = new ApplicationState(spec, clock, entry -> {});
    recovery = new Recovery(second);
    read.forEach(recovery::replay);
    read.forEach(recovery::replay); // once more, as after a filesystem that was away meanwhile
    recovery.replayed();
    if (recovery.outcome() != null) {
      second.end(recovery.outcome());
    }
    recovery.adopt(Arrays.asList(survivors));
    second.begin();
  }

  private int wanted() {
    int wanted = 0;
    for (Map.Entry<AskGroup, Integer> entry : second.wanted().entrySet()) {
      wanted += entry.getValue();
    }
    return wanted;
  }

  private JSONObject work() {
    return second.servicesView().getJSONObject("work");
  }

  @Test
  void survivorsAreKeptAndTheRestIsAskedFor() {
    ApplicationSpec spec = SpecBuilder.one(3);
    ApplicationState state = first(spec);
    String kept = run(state);
    takeOver(spec, kept);
    assertEquals(1, work().getInt("running"));
    assertEquals(2, wanted());
    assertEquals(0, recovery.unheard().size());
    second.completed(kept, 0, "");
    assertEquals(1, work().getInt("succeeded"));
  }

  @Test
  void theStoreIsTakenOver() {
    ApplicationState state = first(SpecBuilder.one(1));
    state.values.set("kept", "a", null);
    state.values.set("kept", "b", null);
    long last = state.values.set("gone", "c", null);
    state.values.delete("gone", null);
    takeOver(SpecBuilder.one(1));
    assertEquals("{\"kept\":\"b\"}", second.values.list("").getJSONObject("values").toString());
    assertTrue(second.values.set("new", "d", null) > last + 1, "no number is given twice");
  }

  @Test
  void indicesAreTakenOver() {
    ApplicationSpec spec = SpecBuilder.one(1);
    ApplicationState state = first(spec);
    state.change("work", Arrays.asList(7, 9), Arrays.asList(0), null);
    takeOver(spec);
    JSONObject now = second.change("work", Arrays.asList(7), Collections.emptyList(), null);
    assertEquals("[7,9]", now.getJSONArray("active").toString());
    assertEquals(10, now.getInt("next"));
  }

  @Test
  void whatHasFinishedIsNotRunAgain() {
    ApplicationSpec spec = SpecBuilder.one(2);
    ApplicationState state = first(spec);
    state.completed(run(state), 0, "");
    takeOver(spec);
    assertEquals(1, work().getInt("succeeded"));
    assertEquals(1, wanted());
  }

  @Test
  void whatWasLaunchedAndIsNotHeardOfIsAFailure() {
    ApplicationSpec spec = SpecBuilder.one(1);
    run(first(spec));
    takeOver(spec);
    assertEquals(0, wanted());
    assertNull(second.outcome());
    assertEquals(1, recovery.unheard().size());
    recovery.giveUp();
    assertEquals(Outcome.FinalStatus.FAILED, second.outcome().finalStatus);
    assertNull(second.outcome().exitCode);
    assertTrue(second.outcome().diagnostics.contains("not run a second time"));
    assertTrue(second.takeStops().isEmpty(), "YARN never gave it to this attempt");
  }

  @Test
  void containersThatYarnDoesNotCallOursAreNotGivenBack() {
    ApplicationSpec spec = SpecBuilder.one(2);
    ApplicationState state = first(spec);
    run(state);
    run(state);
    takeOver(spec);
    recovery.giveUp(); // the first one's failure ends the application while the other is unheard of
    assertEquals(Outcome.FinalStatus.FAILED, second.outcome().finalStatus);
    assertTrue(second.takeStops().isEmpty(), "YARN would refuse the whole heartbeat");
  }

  @Test
  void itIsRunAgainWhereRestartsAreLeft() {
    ApplicationSpec spec = SpecBuilder.one(1, "max_restarts", 1);
    run(first(spec));
    takeOver(spec);
    recovery.giveUp();
    assertNull(second.outcome());
    assertEquals(1, wanted());
    assertEquals(1, work().getInt("restarts"));
  }

  @Test
  void usedRestartsStayUsed() {
    ApplicationSpec spec = SpecBuilder.one(1, "max_restarts", 1);
    ApplicationState state = first(spec);
    state.completed(run(state), 1, "");
    String again = run(state);
    takeOver(spec, again);
    second.completed(again, 1, "");
    assertEquals(Outcome.FinalStatus.FAILED, second.outcome().finalStatus);
  }

  @Test
  void anEndThatIsToldLateIsTakenAsItIs() {
    ApplicationSpec spec = SpecBuilder.one(2);
    ApplicationState state = first(spec);
    String good = run(state);
    String lost = run(state);
    takeOver(spec);
    second.completed(good, 0, "");
    assertEquals(1, work().getInt("succeeded"));
    second.completed(lost, -100, "Container released on a *lost* node");
    assertEquals(1, wanted(), "a lost node is nobody's failure in any attempt");
    assertEquals(0, recovery.unheard().size());
  }

  @Test
  void whatYarnEndedWithTheAttemptMayHaveRun() {
    ApplicationSpec spec = SpecBuilder.one(1);
    String launched = run(first(spec));
    takeOver(spec);
    second.completed(launched, -100, "Container of a completed application");
    assertEquals(Outcome.FinalStatus.FAILED, second.outcome().finalStatus);
  }

  @Test
  void survivorsMayBeNamedLater() {
    ApplicationSpec spec = SpecBuilder.one(1);
    String kept = run(first(spec));
    takeOver(spec);
    recovery.adopt(Collections.singletonList(kept));
    recovery.giveUp();
    assertNull(second.outcome());
    assertEquals(1, work().getInt("running"));
  }

  @Test
  void containersThatNoJournalKnowsAreStrangers() {
    ApplicationSpec spec = SpecBuilder.one(1);
    first(spec);
    takeOver(spec);
    assertEquals(Collections.singleton("x"), recovery.adopt(Collections.singletonList("x")));
    assertEquals(1, wanted());
  }

  @Test
  void scalingAndRemovalSurvive() {
    ApplicationSpec spec = SpecBuilder.one(2, "when_empty", "stay");
    ApplicationState state = first(spec);
    String removed = run(state);
    run(state);
    state.scale("work", 4, null, new Resources(512, 1, Collections.emptyMap()));
    state.remove(Collections.singletonList(removed));
    String kept = "container_1_0001_01_3";
    takeOver(spec, removed, kept);
    assertEquals(3, work().getInt("target"));
    assertEquals(2, wanted());
    assertEquals(512, second.wanted().keySet().iterator().next().resources.memory());
    assertEquals(removed, second.takeStops().get(0).id, "its end is asked for again");
  }

  @Test
  void aDecidedOutcomeStands() {
    ApplicationSpec spec = SpecBuilder.one(1);
    ApplicationState state = first(spec);
    String running = run(state);
    state.end(Outcome.killed("enough"));
    takeOver(spec, running);
    assertEquals("enough", second.outcome().diagnostics);
    assertEquals(running, second.takeStops().get(0).id);
  }

  @Test
  void detachmentAndTheMasterScriptAreRemembered() {
    ApplicationSpec spec = SpecBuilder.one(1);
    first(spec);
    takeOver(spec);
    assertFalse(recovery.detached());
    assertFalse(recovery.masterStarted());
    journal.add(new JSONObject().put("event", "detach"));
    journal.add(new JSONObject().put("event", "master"));
    journal.add(new JSONObject().put("event", "of a later release"));
    takeOver(spec);
    assertTrue(recovery.detached());
    assertTrue(recovery.masterStarted());
  }

  @Test
  void dependentsThatWereStartedStayStarted() {
    SpecBuilder builder = new SpecBuilder();
    builder.service("a", 1).put("max_restarts", 9);
    builder.service("work", 2).put("depends_on", new JSONArray("[\"a\"]"));
    ApplicationSpec spec = builder.build();
    ApplicationState state = first(spec);
    String a = run(state);
    AskGroup work = new ArrayList<>(state.wanted().keySet()).get(1);
    state.place(work, "container_1_0001_01_99", "n1:1", "n1:2", SMALL);
    state.completed(a, 1, "");
    takeOver(spec, "container_1_0001_01_99");
    assertEquals(2, wanted(), "the restart of a, and the other instance of work");
  }
}
