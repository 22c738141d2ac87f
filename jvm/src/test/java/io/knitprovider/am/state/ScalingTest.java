package io.knitprovider.am.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.common.InvalidInput;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

/** Instances that somebody adds and removes by index. */
class ScalingTest {

  private static final List<Integer> NONE = Collections.emptyList();
  private static final Resources SMALL = new Resources(128, 1, Collections.emptyMap());

  private final FakeClock clock = new FakeClock();
  private int containers = 1;

  private ApplicationState begin(ApplicationSpec spec) {
    ApplicationState state = new ApplicationState(spec, clock, entry -> {});
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

  @Test
  void aRepeatedRequestChangesNothing() {
    ApplicationState state = begin(SpecBuilder.one(0, "when_empty", "stay"));
    state.change("work", Arrays.asList(4, 5), NONE, null);
    JSONObject again = state.change("work", Arrays.asList(4, 5), NONE, null);
    assertEquals("[]", again.getJSONArray("added").toString());
    assertEquals("[4,5]", again.getJSONArray("active").toString());
    assertEquals(6, again.getInt("next"));
    assertEquals(2, again.getInt("target"));
  }

  @Test
  void aRemovedIndexIsNotUsedAgain() {
    ApplicationState state = begin(SpecBuilder.one(2, "when_empty", "stay"));
    String first = run(state);
    JSONObject removed = state.change("work", NONE, Arrays.asList(0, 1, 8), null);
    assertEquals("[0,1]", removed.getJSONArray("removed").toString());
    assertEquals(first, state.takeStops().get(0).id);
    JSONObject again = state.change("work", Arrays.asList(0), NONE, null);
    assertEquals("[]", again.getJSONArray("active").toString());
    assertNull(state.outcome());
  }

  @Test
  void whatIsRefusedAddsNothing() {
    ApplicationState state = begin(SpecBuilder.one(0, "when_empty", "stay"));
    state.limit(new Resources(256, 4, Collections.emptyMap()));
    Resources large = new Resources(512, 1, Collections.emptyMap());
    assertThrows(InvalidInput.class, () -> state.change("work", Arrays.asList(1), NONE, large));
    assertThrows(InvalidInput.class, () -> state.change("other", NONE, NONE, null));
    assertEquals(0, state.change("work", NONE, NONE, null).getInt("target"));
  }

  @Test
  void aServiceMayEndTheApplication() {
    SpecBuilder builder = new SpecBuilder();
    builder.service("head", 1).put("when_empty", "end");
    builder.service("work", 1).put("when_empty", "stay");
    ApplicationState state = begin(builder.build());
    String head = run(state);
    run(state);
    assertNull(state.outcome());
    state.completed(head, 0, "");
    assertEquals(Outcome.FinalStatus.SUCCEEDED, state.outcome().finalStatus);
  }
}
