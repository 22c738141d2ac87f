package io.knitprovider.am.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.spec.Resources;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.Collections;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ControlApiTest {

  private final RecordingActions actions = new RecordingActions();
  private final ControlApi api = new ControlApi(actions);

  private ControlReply owner(String method, String path, String body) {
    return api.answer(ControlSecrets.Role.OWNER, method, path, body);
  }

  @ParameterizedTest
  @CsvSource({
    "GET, /v1/status, OWNER, 200",
    "GET, /v1/status, WORKER, 200",
    "GET, /v1/status, STRANGER, 401",
    "GET, /v1/containers, WORKER, 401",
    "POST, /v1/scale, WORKER, 401",
    "POST, /v1/containers/remove, WORKER, 401",
    "POST, /v1/lease, WORKER, 401",
    "DELETE, /v1/lease, WORKER, 401",
    "POST, /v1/shutdown, WORKER, 401",
    "POST, /v1/instances, WORKER, 401",
    "POST, /v1/kv/list, WORKER, 200",
    "POST, /v1/kv/list, STRANGER, 401",
    "POST, /v1/kv/nothing, WORKER, 401",
    "POST, /v1/kv/nothing, OWNER, 404",
    "GET, /v1/nothing, WORKER, 401",
    "GET, /v1/nothing, OWNER, 404",
    "PUT, /v1/status, OWNER, 404",
  })
  void whoMayDoWhat(String method, String path, ControlSecrets.Role role, int status) {
    ControlReply reply = api.answer(role, method, path, "");
    assertEquals(status, reply.status);
    if (status == 401) {
      assertEquals("", reply.body.getString("message"), "no detail for strangers");
      assertTrue(actions.calls.isEmpty());
    }
  }

  @Test
  void scalingTakesANumberOrADifference() {
    assertEquals(200, owner("POST", "/v1/scale", "{\"service\":\"w\",\"instances\":3}").status);
    assertEquals(200, owner("POST", "/v1/scale", "{\"service\":\"w\",\"delta\":-2}").status);
    assertEquals("[scale w 3 null null, scale w null -2 null]", actions.calls.toString());
  }

  @Test
  void resourcesThatAreLeftOutAreTheServicesOwn() {
    actions.own = new Resources(128, 2, Collections.emptyMap());
    owner("POST", "/v1/scale", "{\"service\":\"w\",\"delta\":1,\"resources\":{\"memory\":256}}");
    assertEquals("[scale w null 1 256 MiB, 2 vcores]", actions.calls.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{",
        "[]",
        "{\"instances\":1}",
        "{\"service\":1,\"instances\":1}",
        "{\"service\":\"w\"}",
        "{\"service\":\"w\",\"instances\":1,\"delta\":1}",
        "{\"service\":\"w\",\"instances\":-1}",
        "{\"service\":\"w\",\"instances\":1.5}",
        "{\"service\":\"w\",\"instances\":\"1\"}",
        "{\"service\":\"w\",\"instances\":99999999999}",
        "{\"service\":\"w\",\"delta\":1,\"resources\":{\"memory\":0}}",
      })
  void badScalingIsRefusedAndDoesNothing(String body) {
    actions.own = new Resources(128, 1, Collections.emptyMap());
    ControlReply reply = owner("POST", "/v1/scale", body);
    assertEquals(400, reply.status);
    assertEquals("InvalidInput", reply.body.getString("error"));
    assertTrue(actions.calls.isEmpty());
  }

  @Test
  void instancesAreNamedByIndex() {
    String body = "{\"service\":\"w\",\"add\":[3,4],\"remove\":[1]}";
    assertEquals(200, owner("POST", "/v1/instances", body).status);
    assertEquals("[change w [3, 4] [1] null]", actions.calls.toString());
    for (String bad : new String[] {"{}", "{\"service\":\"w\",\"add\":[-1]}", "{\"add\":3}"}) {
      assertEquals(400, owner("POST", "/v1/instances", bad).status, bad);
    }
  }

  private JSONObject worker(String path, String body) {
    ControlReply reply = api.answer(ControlSecrets.Role.WORKER, "POST", "/v1/kv/" + path, body);
    assertEquals(200, reply.status);
    return reply.later == null ? reply.body : reply.later.join();
  }

  @Test
  void containersKeepValuesForEachOther() {
    assertEquals(1, worker("set", "{\"key\":\"a/b\",\"value\":\"x\"}").getInt("version"));
    assertEquals("[keep]", actions.calls.toString(), "answered once it is safe");
    assertEquals("x", worker("get", "{\"key\":\"a/b\"}").getString("value"));
    assertTrue(worker("get", "{\"key\":\"a\"}").isNull("value"));
    assertEquals("{\"a/b\":\"x\"}", worker("list", "{}").getJSONObject("values").toString());
    assertTrue(worker("delete", "{\"key\":\"a/b\"}").getBoolean("deleted"));
    assertTrue(worker("list", "{\"prefix\":\"a\"}").getJSONObject("values").isEmpty());
  }

  @Test
  void aChangeThatIsNotSafeYetIsNotCalledDone() {
    actions.late = true;
    ControlReply reply = owner("POST", "/v1/kv/set", "{\"key\":\"k\",\"value\":\"v\"}");
    assertEquals(504, reply.status, "not 503, which invites to say it again");
    assertEquals("it may be kept or not", reply.body.getString("message"));
  }

  @Test
  void aConditionThatDoesNotHoldIsAConflict() {
    String onlyIfNew = "{\"key\":\"k\",\"value\":\"x\",\"if_version\":0}";
    assertEquals(200, owner("POST", "/v1/kv/set", onlyIfNew).status);
    ControlReply second = owner("POST", "/v1/kv/set", onlyIfNew);
    assertEquals(409, second.status);
    assertEquals("VersionConflict", second.body.getString("error"));
  }

  @Test
  void aWatchIsAnsweredByTheChangeOrWhenItsTimeIsUp() {
    String body = "{\"key\":\"k\",\"since\":0,\"timeout_s\":20}";
    ControlReply reply = owner("POST", "/v1/kv/watch", body);
    assertTrue(reply.later != null && !reply.later.isDone());
    worker("set", "{\"key\":\"other\",\"value\":\"x\"}");
    assertTrue(!reply.later.isDone());
    worker("set", "{\"key\":\"k\",\"value\":\"x\"}");
    JSONObject change = reply.later.join().getJSONArray("changes").getJSONObject(0);
    assertEquals(
        "k x 2", change.get("key") + " " + change.get("value") + " " + change.get("version"));
    JSONObject nothing = worker("watch", "{\"key\":\"k\",\"since\":2,\"timeout_s\":0.05}");
    assertTrue(nothing.getJSONArray("changes").isEmpty());
    assertEquals(2, nothing.getInt("revision"));
  }

  @Test
  void valuesAreNotServedBeforeTheyAreRecovered() {
    actions.recovering = true;
    assertEquals(503, owner("POST", "/v1/kv/get", "{\"key\":\"k\"}").status);
    actions.recovering = false;
    actions.ending = true;
    assertEquals(200, owner("POST", "/v1/kv/get", "{\"key\":\"k\"}").status);
  }

  @Test
  void removingNamesContainers() {
    assertEquals(200, owner("POST", "/v1/containers/remove", "{\"ids\":[\"c2\"]}").status);
    assertEquals("[remove [c2]]", actions.calls.toString());
    assertEquals(400, owner("POST", "/v1/containers/remove", "{\"ids\":\"c2\"}").status);
    assertEquals(400, owner("POST", "/v1/containers/remove", "{}").status);
  }

  @Test
  void foreignContainersAndOurOwnAreRefused() {
    actions.unknown = true;
    ControlReply foreign = owner("POST", "/v1/containers/remove", "{\"ids\":[\"c2\"]}");
    assertEquals(404, foreign.status);
    assertEquals("UnknownContainer", foreign.body.getString("error"));
    ControlReply own = owner("POST", "/v1/containers/remove", "{\"ids\":[\"am\"]}");
    assertEquals(409, own.status);
    assertEquals("IsApplicationMaster", own.body.getString("error"));
  }

  @Test
  void nothingIsChangedWhileRecoveringOrEnding() {
    actions.recovering = true;
    assertEquals(503, owner("POST", "/v1/scale", "{\"service\":\"w\",\"delta\":1}").status);
    actions.recovering = false;
    actions.ending = true;
    assertEquals(409, owner("POST", "/v1/containers/remove", "{\"ids\":[]}").status);
    assertTrue(actions.calls.isEmpty());
    assertEquals(200, owner("GET", "/v1/status", "").status);
  }

  @Test
  void theLeaseIsRenewedAndEnded() {
    actions.remaining = 89_500L;
    assertEquals(89.5, owner("POST", "/v1/lease", "{}").body.getDouble("lease_remaining_s"));
    actions.remaining = null;
    assertTrue(owner("POST", "/v1/lease", "").body.isNull("lease_remaining_s"));
    assertEquals(200, owner("DELETE", "/v1/lease", "").status);
    assertEquals("[renew, renew, detach]", actions.calls.toString());
  }

  @Test
  void progressIsAPart() {
    ControlReply reply =
        api.answer(ControlSecrets.Role.WORKER, "POST", "/v1/progress", "{\"progress\":0.5}");
    assertEquals(200, reply.status);
    assertEquals("[progress 0.5]", actions.calls.toString());
    assertEquals(400, owner("POST", "/v1/progress", "{\"progress\":1.5}").status);
    assertEquals(400, owner("POST", "/v1/progress", "{\"progress\":\"x\"}").status);
    assertEquals(400, owner("POST", "/v1/progress", "{}").status);
  }

  @Test
  void shuttingDownSaysHow() {
    String body = new JSONObject().put("final_status", "KILLED").put("diagnostics", "x").toString();
    assertEquals(200, owner("POST", "/v1/shutdown", body).status);
    assertEquals("[shutdown KILLED x null]", actions.calls.toString());
    assertEquals(400, owner("POST", "/v1/shutdown", "{\"final_status\":\"MAYBE\"}").status);
  }

  @Test
  void errorsOfOurOwnAreAnsweredToo() {
    actions.broken = true;
    PrintStream err = System.err;
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    ControlReply reply;
    try {
      System.setErr(new PrintStream(log));
      reply = owner("GET", "/v1/status", "");
    } finally {
      System.setErr(err);
    }
    assertEquals(500, reply.status);
    assertTrue(log.toString().contains("GET /v1/status failed"));
    assertNull(reply.body.opt("services"));
  }
}
