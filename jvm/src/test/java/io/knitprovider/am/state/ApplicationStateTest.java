package io.knitprovider.am.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.common.InvalidInput;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class ApplicationStateTest {

  private final FakeClock clock = new FakeClock();
  private final List<JSONObject> journal = new ArrayList<>();
  private int containers = 1;

  private ApplicationState begin(ApplicationSpec spec) {
    ApplicationState state = new ApplicationState(spec, clock, journal::add);
    state.begin();
    return state;
  }

  /** What is asked for of a service, all kinds together. */
  private static int wanted(ApplicationState state, String service) {
    int wanted = 0;
    for (Map.Entry<AskGroup, Integer> entry : state.wanted().entrySet()) {
      wanted += entry.getKey().service.name.equals(service) ? entry.getValue() : 0;
    }
    return wanted;
  }

  private static AskGroup group(ApplicationState state, String service) {
    for (AskGroup group : state.wanted().keySet()) {
      if (group.service.name.equals(service)) {
        return group;
      }
    }
    throw new AssertionError("nothing was ever asked for " + service);
  }

  /** YARN gives a container. */
  private ContainerRecord give(ApplicationState state, String service) {
    String id = "container_1_0001_01_" + String.format("%06d", ++containers);
    return state.place(group(state, service), id, "n1:1", "n1:2", resources(128));
  }

  /** YARN gives a container and its node launches it. */
  private String run(ApplicationState state, String service) {
    ContainerRecord record = give(state, service);
    state.started(record.id);
    return record.id;
  }

  private static Resources resources(int memory) {
    return new Resources(memory, 1, Collections.emptyMap());
  }

  private static JSONObject service(ApplicationState state, String name) {
    return state.servicesView().getJSONObject(name);
  }

  @Test
  void allInstancesThatSucceedMakeTheApplicationSucceed() {
    ApplicationState state = begin(SpecBuilder.one(2));
    assertEquals(2, wanted(state, "work"));
    String first = run(state, "work");
    assertEquals(1, wanted(state, "work"));
    String second = run(state, "work");
    state.completed(first, 0, "");
    assertNull(state.outcome());
    assertEquals(0.5, state.progress());
    state.completed(second, 0, "");
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
    assertEquals("2 instances succeeded", state.outcome().diagnostics);
    assertNull(state.outcome().exitCode);
  }

  @Test
  void nothingIsWantedBeforeTheBeginning() {
    ApplicationState state = new ApplicationState(SpecBuilder.one(2), clock, journal::add);
    assertTrue(state.wanted().isEmpty());
  }

  @Test
  void aFailureEndsTheApplicationAndTheOthersAreStopped() {
    ApplicationState state = begin(SpecBuilder.one(2));
    String first = run(state, "work");
    String second = run(state, "work");
    state.completed(first, 7, "");
    assertEquals(Outcome.FinalStatus.FAILED, state.outcome().finalStatus);
    assertEquals(7, state.outcome().exitCode);
    List<ContainerRecord> stops = state.takeStops();
    assertEquals(1, stops.size());
    assertEquals(second, stops.get(0).id);
    state.completed(second, -100, "Container released by application");
    JSONObject stopped = state.ledgerView().getJSONObject(1);
    assertEquals("STOPPED", stopped.getString("state"));
    assertTrue(stopped.isNull("exit_code"), "to be given back is no exit");
    assertEquals(0, state.active());
  }

  @Test
  void theFirstOutcomeStands() {
    ApplicationState state = begin(SpecBuilder.one(1));
    state.end(Outcome.killed("first"));
    state.end(Outcome.succeeded("second"));
    assertEquals("first", state.outcome().diagnostics);
  }

  @Test
  void restartsAreSharedByTheService() {
    ApplicationState state = begin(SpecBuilder.one(2, "max_restarts", 2));
    String first = run(state, "work");
    String second = run(state, "work");
    state.completed(first, 1, "");
    state.completed(second, 1, "");
    assertNull(state.outcome());
    assertEquals(2, wanted(state, "work"));
    assertEquals(2, service(state, "work").getInt("restarts"));
    String third = run(state, "work");
    state.completed(third, 1, "");
    assertEquals(Outcome.FinalStatus.FAILED, state.outcome().finalStatus);
    assertTrue(state.outcome().diagnostics.contains("after 2 restarts"));
  }

  @Test
  void restartsKeepTheIndex() {
    ApplicationState state = begin(SpecBuilder.one(3, "max_restarts", -1));
    run(state, "work");
    String second = run(state, "work");
    run(state, "work");
    state.completed(second, 1, "");
    assertEquals(1, give(state, "work").index);
  }

  @Test
  void whatFailsAtOnceIsRestartedLaterAndLater() {
    ApplicationState state = begin(SpecBuilder.one(1, "max_restarts", -1));
    state.completed(run(state, "work"), 1, "");
    assertEquals(1, wanted(state, "work"), "the first time at once");
    state.completed(run(state, "work"), 1, "");
    assertEquals(0, wanted(state, "work"));
    assertTrue(state.wantsAny());
    clock.pass(1_000);
    assertEquals(1, wanted(state, "work"));
    for (int failure = 0; failure < 10; failure++) {
      clock.pass(30_000);
      state.completed(run(state, "work"), 1, "");
    }
    clock.pass(29_999);
    assertEquals(0, wanted(state, "work"));
    clock.pass(1);
    assertEquals(1, wanted(state, "work"), "never later than 30 s");
    String lasting = run(state, "work");
    clock.pass(60_000);
    state.completed(lasting, 1, "");
    assertEquals(1, wanted(state, "work"), "one that ran for a while is no such case");
  }

  @Test
  void whatYarnTakesAwayIsReplacedWithoutCounting() {
    ApplicationState state = begin(SpecBuilder.one(1));
    for (int status : new int[] {-100, -101, -102, -106, -108}) {
      String id = run(state, "work");
      state.completed(id, status, "");
      assertNull(state.outcome(), "status " + status);
      assertEquals(1, wanted(state, "work"), "status " + status);
    }
    assertEquals(0, service(state, "work").getInt("restarts"));
    JSONArray view = state.containersView();
    assertEquals("LOST", view.getJSONObject(0).getString("state"));
    assertEquals("PREEMPTED", view.getJSONObject(2).getString("state"));
  }

  @Test
  void forgivenFailuresDoNotFailTheApplication() {
    ApplicationState state = begin(SpecBuilder.one(2, "allow_failures", true));
    state.completed(run(state, "work"), 3, "");
    assertNull(state.outcome());
    assertEquals(1, service(state, "work").getInt("failed"));
    state.completed(run(state, "work"), 0, "");
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
    assertTrue(state.outcome().diagnostics.contains("1 failed"));
  }

  @Test
  void statusesMayBeRepeatedAndPrecedeTheLaunchReply() {
    ApplicationState state = begin(SpecBuilder.one(2));
    ContainerRecord early = give(state, "work");
    state.completed(early.id, 0, "");
    assertFalse(state.started(early.id));
    state.launchFailed(early.id, true, "too late");
    state.completed(early.id, 1, "");
    assertEquals(1, service(state, "work").getInt("succeeded"));
    assertEquals(1, service(state, "work").getInt("target"));
    assertNull(state.outcome());
  }

  @Test
  void statusesOfUnknownContainersAreNoMatter() {
    ApplicationState state = begin(SpecBuilder.one(1));
    state.completed("container_9_0009_01_000009", 1, "");
    assertNull(state.outcome());
    assertNull(state.nodeOf("container_9_0009_01_000009"));
  }

  @Test
  void moreContainersThanWantedAreNotPlaced() {
    ApplicationState state = begin(SpecBuilder.one(1));
    assertNotNull(give(state, "work"));
    assertNull(give(state, "work"));
  }

  @Test
  void aContainerIsPlacedOnce() {
    ApplicationState state = begin(SpecBuilder.one(2));
    assertNotNull(give(state, "work"));
    containers--;
    assertNull(give(state, "work"), "the same container again");
    assertEquals(1, wanted(state, "work"));
  }

  @Test
  void launchesAreJournalledBeforeAnythingElse() {
    ApplicationState state = begin(SpecBuilder.one(1));
    ContainerRecord record = give(state, "work");
    assertEquals(1, journal.size());
    assertEquals("launch", journal.get(0).getString("event"));
    assertEquals(record.id, journal.get(0).getString("container"));
    assertTrue(state.isLaunchable(record.id));
  }

  @Test
  void aNodeThatCannotLaunchIsNoFailure() {
    ApplicationState state = begin(SpecBuilder.one(1));
    ContainerRecord record = give(state, "work");
    state.launchFailed(record.id, false, "connection refused");
    assertNull(state.outcome());
    assertEquals(1, wanted(state, "work"));
    assertEquals(record.id, state.takeStops().get(0).id, "given back");
  }

  @Test
  void aNodeThatNeverCanIsOneInTheEnd() {
    ApplicationState state = begin(SpecBuilder.one(1));
    for (int launch = 0; launch < 10; launch++) {
      assertNull(state.outcome());
      state.launchFailed(give(state, "work").id, false, "connection refused");
    }
    assertTrue(state.outcome().diagnostics.contains("connection refused"));
  }

  @Test
  void aLaunchThatTheNodeRefusesCounts() {
    ApplicationState state = begin(SpecBuilder.one(1));
    state.launchFailed(give(state, "work").id, true, "invalid");
    assertEquals(-1000, state.outcome().exitCode);
  }

  @Test
  void servicesWaitForAllInstancesOfTheirDependencies() {
    SpecBuilder builder = new SpecBuilder();
    builder.service("scheduler", 2);
    builder.service("worker", 3).put("depends_on", new JSONArray("[\"scheduler\"]"));
    ApplicationState state = begin(builder.build());
    run(state, "scheduler");
    ContainerRecord second = give(state, "scheduler");
    assertEquals(0, wanted(state, "worker"), "given is not running");
    assertTrue(state.started(second.id));
    assertEquals(3, wanted(state, "worker"));
  }

  @Test
  void aDependencyThatSucceededSatisfies() {
    SpecBuilder builder = new SpecBuilder();
    builder.service("prepare", 1);
    builder.service("work", 1).put("depends_on", new JSONArray("[\"prepare\"]"));
    ApplicationState state = begin(builder.build());
    state.completed(give(state, "prepare").id, 0, "");
    assertEquals(1, wanted(state, "work"));
    assertNull(state.outcome());
  }

  @Test
  void aDependencyThatOnceRanStaysSatisfied() {
    SpecBuilder builder = new SpecBuilder();
    builder.service("a", 1).put("max_restarts", 5);
    builder.service("b", 1).put("depends_on", new JSONArray("[\"a\"]"));
    ApplicationState state = begin(builder.build());
    state.completed(run(state, "a"), 1, "");
    assertEquals(1, wanted(state, "b"));
  }

  @Test
  void aDependencyWithoutInstancesIsSatisfiedAtOnceThroughAllLinks() {
    SpecBuilder builder = new SpecBuilder();
    builder.service("c", 1).put("depends_on", new JSONArray("[\"b\"]"));
    builder.service("b", 0).put("depends_on", new JSONArray("[\"a\"]"));
    builder.service("a", 0);
    assertEquals(1, wanted(begin(builder.build()), "c"));
  }

  @Test
  void aServiceThatStaysKeepsTheApplicationUpAtZero() {
    ApplicationState state = begin(SpecBuilder.one(1, "when_empty", "stay"));
    state.completed(run(state, "work"), 0, "");
    assertNull(state.outcome());
    state.scale("work", 1, null, null);
    assertEquals(1, give(state, "work").index, "an index is never used twice");
  }

  @Test
  void aServiceThatIsScaledToZeroIsDone() {
    ApplicationState state = begin(SpecBuilder.one(3));
    run(state, "work");
    JSONObject answer = state.scale("work", 0, null, null);
    assertEquals(0, answer.getInt("target"));
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
  }

  @Test
  void scalingIsToANumberAndRepeatingItChangesNothing() {
    ApplicationState state = begin(SpecBuilder.one(2));
    JSONObject answer = state.scale("work", 4, null, null);
    assertEquals("[2,3]", answer.getJSONArray("added").toString());
    assertEquals(4, answer.getInt("target"));
    answer = state.scale("work", 4, null, null);
    assertEquals(0, answer.getJSONArray("added").length());
    assertEquals(4, wanted(state, "work"));
  }

  @Test
  void scalingDownTakesThoseWithoutContainersFirstAndThenTheYoungest() {
    ApplicationState state = begin(SpecBuilder.one(4, "when_empty", "stay"));
    String oldest = run(state, "work");
    String younger = run(state, "work");
    ContainerRecord starting = give(state, "work");
    JSONObject answer = state.scale("work", null, -1, null);
    assertEquals(0, answer.getJSONArray("removed").length());
    assertEquals(0, wanted(state, "work"));
    answer = state.scale("work", 1, null, null);
    assertEquals(
        new JSONArray(Arrays.asList(starting.id, younger)).toString(),
        answer.getJSONArray("removed").toString());
    assertFalse(state.isLaunchable(starting.id));
    assertEquals(2, state.takeStops().size());
    assertNotNull(state.nodeOf(oldest));
  }

  @Test
  void scalingDownByMoreThanThereAreGoesToZero() {
    ApplicationState state = begin(SpecBuilder.one(2, "when_empty", "stay"));
    assertEquals(0, state.scale("work", null, -9, null).getInt("target"));
  }

  @Test
  void addedContainersMayAskForSomethingElse() {
    ApplicationState state = begin(SpecBuilder.one(1));
    state.scale("work", null, 2, resources(512));
    assertEquals(2, state.wanted().size(), "two kinds of containers");
    for (Map.Entry<AskGroup, Integer> ask : state.wanted().entrySet()) {
      assertEquals(ask.getKey().resources.memory() == 512 ? 2 : 1, ask.getValue());
    }
  }

  @Test
  void whatNoNodeMayRunIsRefused() {
    ApplicationState state = begin(SpecBuilder.one(1));
    assertNull(state.limit(resources(1024)));
    assertThrows(InvalidInput.class, () -> state.scale("work", null, 1, resources(2048)));
    assertThrows(InvalidInput.class, () -> state.scale("nothing", 1, null, null));
    assertTrue(state.limit(resources(64)).contains("service work asks for memory of 128 MiB"));
  }

  @Test
  void removedContainersAreNoFailuresAndLowerTheTarget() {
    ApplicationState state = begin(SpecBuilder.one(2));
    String first = run(state, "work");
    String second = run(state, "work");
    JSONObject answer = state.remove(Arrays.asList(first));
    assertEquals(1, answer.getJSONObject("services").getInt("work"));
    assertEquals(first, answer.getJSONArray("removed").getString(0));
    assertEquals(0, state.remove(Arrays.asList(first)).getJSONArray("removed").length());
    state.completed(first, 143, "");
    assertEquals(0, wanted(state, "work"));
    assertEquals("REMOVED", state.containersView().getJSONObject(0).getString("state"));
    assertEquals(143, state.containersView().getJSONObject(0).getInt("exit_code"));
    state.completed(second, 0, "");
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
  }

  @Test
  void anUnknownContainerRemovesNothing() {
    ApplicationState state = begin(SpecBuilder.one(1));
    String known = run(state, "work");
    assertThrows(
        UnknownContainer.class, () -> state.remove(Arrays.asList(known, "container_1_1_01_1")));
    assertEquals(1, service(state, "work").getInt("target"));
    assertTrue(state.takeStops().isEmpty());
  }

  @Test
  void aMasterScriptDecidesWhenTheApplicationSucceeds() {
    SpecBuilder builder = new SpecBuilder();
    builder.json.put("master_script", "run-master.sh");
    builder.service("work", 1);
    ApplicationState state = begin(builder.build());
    state.completed(run(state, "work"), 0, "");
    assertNull(state.outcome());
  }

  @Test
  void nothingIsWantedAfterTheEnd() {
    ApplicationState state = begin(SpecBuilder.one(2));
    ContainerRecord record = give(state, "work");
    state.end(Outcome.killed(""));
    assertEquals(0, wanted(state, "work"));
    assertFalse(state.wantsAny());
    assertNull(give(state, "work"));
    assertFalse(state.isLaunchable(record.id));
  }

  @Test
  void theStatusCountsInstances() {
    ApplicationState state = begin(SpecBuilder.one(4, "allow_failures", true));
    state.completed(run(state, "work"), 0, "");
    state.completed(run(state, "work"), 9, "");
    run(state, "work");
    JSONObject view = service(state, "work");
    assertEquals(2, view.getInt("target"));
    assertEquals(1, view.getInt("pending"));
    assertEquals(1, view.getInt("running"));
    assertEquals(1, view.getInt("succeeded"));
    assertEquals(1, view.getInt("failed"));
  }

  @Test
  void onlySoManyContainersAreRemembered() {
    ApplicationState state = begin(SpecBuilder.one(1, "max_restarts", -1));
    for (int failure = 0; failure < ContainerBook.MOST + 10; failure++) {
      clock.pass(60_000);
      String id = run(state, "work");
      clock.pass(60_000);
      state.completed(id, 1, "words");
    }
    assertEquals(ContainerBook.MOST, state.containersView().length());
    clock.pass(60_000);
    state.scale("work", 0, null, null);
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
  }
}
