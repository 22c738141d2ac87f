package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.AskGroup;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.state.Recovery;
import io.knitprovider.am.store.Journal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.yarn.api.records.Container;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.apache.hadoop.yarn.api.records.ContainerState;
import org.apache.hadoop.yarn.api.records.ContainerStatus;
import org.apache.hadoop.yarn.api.records.NodeId;
import org.apache.hadoop.yarn.api.records.Resource;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class HeartbeatTest {

  private static final String FIRST = "container_1_0001_01_000002";
  private static final String SECOND = "container_1_0001_01_000003";

  private final ScriptedClient client = new ScriptedClient();

  private static ContainerStatus ended(String id, int status) {
    return ContainerStatus.newInstance(
        ContainerId.fromString(id), ContainerState.COMPLETE, "", status);
  }

  private static Container running(String id) {
    return Container.newInstance(
        ContainerId.fromString(id),
        NodeId.newInstance("n1", 1),
        "n1:2",
        Resource.newInstance(128, 1),
        null,
        null);
  }

  /** What a first attempt writes that launches these. */
  private static List<JSONObject> launches(ApplicationSpec spec, String... ids) {
    List<JSONObject> journal = new ArrayList<>();
    ApplicationState first = new ApplicationState(spec, new FakeClock(), journal::add);
    first.begin();
    AskGroup group = first.wanted().keySet().iterator().next();
    Resources small = new Resources(128, 1, Collections.emptyMap());
    for (String id : ids) {
      first.place(group, id, "n1:1", "n1:2", small);
    }
    return journal;
  }

  @Test
  void whatYarnSaysBeforeTheJournalIsReadIsTakenAfterwards() throws Exception {
    ApplicationSpec spec = SpecBuilder.one(2);
    FakeClock clock = new FakeClock();
    ApplicationState state = new ApplicationState(spec, clock, entry -> {});
    Heartbeat heartbeat =
        new Heartbeat(client, true, state, new Journal(2, clock), clock, () -> 0, () -> {});
    client.willSay(Collections.emptyList(), Collections.singletonList(ended(FIRST, 0)));
    client.willSay(Collections.singletonList(running(SECOND)), Collections.emptyList());
    heartbeat.beat();
    heartbeat.beat();

    Recovery recovery = new Recovery(state);
    launches(spec, FIRST, SECOND).forEach(recovery::replay);
    recovery.replayed();
    state.begin();
    heartbeat.recovered(
        survivors -> {
          List<String> ids = new ArrayList<>();
          survivors.forEach(container -> ids.add(container.getId().toString()));
          recovery.adopt(ids);
        });
    heartbeat.beat();

    assertEquals(Collections.emptySet(), recovery.unheard());
    recovery.giveUp();
    JSONObject work = state.servicesView().getJSONObject("work");
    assertEquals(1, work.getInt("succeeded"));
    assertEquals(1, work.getInt("running"));
    assertNull(state.outcome());

    client.willSay(Collections.emptyList(), Collections.singletonList(ended(SECOND, 0)));
    heartbeat.beat();
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
    assertTrue(client.blacklist.isEmpty());
  }

  /** What YARN is asked to spare after two failures on n1 of a service that is changed so. */
  private List<String> sparedAfterFailures(Object... changes) throws Exception {
    List<Object> all = new ArrayList<>(Arrays.asList("max_restarts", 5));
    all.addAll(Arrays.asList(changes));
    FakeClock clock = new FakeClock();
    ApplicationState state =
        new ApplicationState(SpecBuilder.one(2, all.toArray()), clock, entry -> {});
    Heartbeat heartbeat =
        new Heartbeat(client, false, state, new Journal(1, clock), clock, () -> 0, () -> {});
    state.begin();
    AskGroup group = state.wanted().keySet().iterator().next();
    for (String id : new String[] {FIRST, SECOND}) {
      state.place(group, id, "n1:1", "n1:2", new Resources(128, 1, Collections.emptyMap()));
      client.willSay(Collections.emptyList(), Collections.singletonList(ended(id, 1)));
      heartbeat.beat();
    }
    heartbeat.beat();
    return client.blacklist;
  }

  @Test
  void aNodeOnWhichProgramsFailIsSpared() throws Exception {
    assertEquals(Arrays.asList("n1:1", "n1"), sparedAfterFailures());
  }

  @Test
  void aNodeIsNotSparedWhereAnotherCouldNotServe() throws Exception {
    JSONArray nodes = new JSONArray().put("n1");
    assertTrue(sparedAfterFailures("nodes", nodes, "relax_locality", false).isEmpty());
    assertTrue(sparedAfterFailures("node_label", "gpu").isEmpty());
  }
}
