package io.knitprovider.am.spec;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.SpecBuilder;
import io.knitprovider.common.InvalidInput;
import java.util.Arrays;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class SpecReaderTest {

  private final SpecBuilder builder = new SpecBuilder();

  private String refusal() {
    return assertThrows(InvalidInput.class, builder::build).getMessage();
  }

  @Test
  void fieldsThatAreLeftOutHaveTheirDefaults() {
    builder.service("work", 2);
    ApplicationSpec spec = builder.build();
    assertEquals(1, spec.maxAttempts);
    assertFalse(spec.bound);
    assertEquals(90, spec.leaseSeconds);
    assertEquals(0, spec.highPort);
    ServiceSpec work = spec.services.get(0);
    assertEquals(0, work.maxRestarts);
    assertEquals(ServiceSpec.WhenEmpty.FINISH, work.whenEmpty);
    assertTrue(work.relaxLocality);
    assertEquals("PRIVATE", work.localResources.get("knit-run.sh").visibility);
  }

  @Test
  void everyFieldIsRead() {
    builder
        .json
        .put("bound", true)
        .put("lease_seconds", 5)
        .put("am_port_range", new JSONArray("[7000, 7010]"))
        .put("hadoop_conf", new JSONObject().put("a.b", "c"))
        .put("acls", new JSONObject().put("view", "bob"))
        .put("master_script", "run-master.sh");
    builder
        .service("work", 0)
        .put("max_restarts", -1)
        .put("when_empty", "stay")
        .put("nodes", new JSONArray("[\"n1\"]"))
        .put("relax_locality", false)
        .getJSONObject("resources")
        .put("named", new JSONObject().put("yarn.io/gpu", 2));
    ApplicationSpec spec = builder.build();
    assertEquals(7000, spec.lowPort);
    assertEquals(7010, spec.highPort);
    assertEquals("c", spec.hadoopConf.get("a.b"));
    assertEquals("bob", spec.viewAcl);
    assertEquals("run-master.sh", spec.masterScript);
    ServiceSpec work = spec.services.get(0);
    assertEquals(-1, work.maxRestarts);
    assertEquals(ServiceSpec.WhenEmpty.STAY, work.whenEmpty);
    assertEquals(Arrays.asList("n1"), work.nodes);
    assertFalse(work.relaxLocality);
    assertEquals(2L, work.resources.named().get("yarn.io/gpu"));
  }

  @Test
  void localityThatHoldsOnToNothingIsRelaxed() {
    builder.service("work", 1).put("relax_locality", false);
    assertTrue(builder.build().services.get(0).relaxLocality);
  }

  @Test
  void anotherVersionIsRefused() {
    builder.json.put("version", 2);
    builder.service("work", 1);
    assertTrue(refusal().contains("version is 2"));
  }

  @Test
  void nothingToRunIsRefused() {
    assertTrue(refusal().contains("nothing to run"));
  }

  @Test
  void twoServicesOfOneNameAreRefused() {
    builder.service("work", 1);
    builder.service("work", 1);
    assertTrue(refusal().contains("two services named work"));
  }

  @Test
  void unknownDependenciesAreRefused() {
    builder.service("work", 1).put("depends_on", new JSONArray("[\"nothing\"]"));
    assertTrue(refusal().contains("work depends on nothing"));
  }

  @Test
  void circlesAreRefusedAndShown() {
    builder.service("a", 1).put("depends_on", new JSONArray("[\"b\"]"));
    builder.service("b", 1).put("depends_on", new JSONArray("[\"c\"]"));
    builder.service("c", 1).put("depends_on", new JSONArray("[\"b\"]"));
    assertTrue(refusal().contains("b -> c -> b"));
  }

  @Test
  void refusalsNameServiceAndField() {
    builder.service("work", 1).put("instances", -1);
    assertTrue(refusal().contains("services.work: instances is -1"));
  }

  @Test
  void valuesOfTheWrongKindAreRefused() {
    builder.service("work", 1).put("max_restarts", "3");
    assertTrue(refusal().contains("max_restarts has to be a whole number"));
  }

  @Test
  void aServiceWithoutItsScriptIsRefused() {
    builder.service("work", 1).put("local_resources", new JSONObject());
    assertTrue(refusal().contains("knit-run.sh"));
  }

  @Test
  void aLabelCannotBeCombinedWithNodes() {
    builder.service("work", 1).put("node_label", "gpu").put("nodes", new JSONArray("[\"n1\"]"));
    assertTrue(refusal().contains("node_label"));
  }

  @Test
  void portRangesAreChecked() {
    builder.service("work", 1);
    builder.json.put("am_port_range", new JSONArray("[9, 8]"));
    assertTrue(refusal().contains("am_port_range"));
    builder.json.put("am_port_range", new JSONArray("[1, 70000]"));
    assertTrue(refusal().contains("am_port_range"));
    builder.json.put("am_port_range", "1-2");
    assertTrue(refusal().contains("am_port_range"));
  }

  @Test
  void whatIsMoreThanTheMostIsNamed() {
    Resources most = new Resources(1024, 4, java.util.Collections.singletonMap("gpu", 1L));
    assertEquals(
        "memory of 2048 MiB; one container may have at most 1024 MiB",
        new Resources(2048, 1, java.util.Collections.emptyMap()).excessOver(most));
    assertTrue(
        new Resources(1, 1, java.util.Collections.singletonMap("gpu", 2L))
            .excessOver(most)
            .contains("2 gpu"));
    assertTrue(
        new Resources(1, 1, java.util.Collections.singletonMap("fpga", 1L))
            .excessOver(most)
            .contains("does not have"));
    assertEquals(
        null,
        new Resources(1024, 4, java.util.Collections.singletonMap("gpu", 1L)).excessOver(most));
  }
}
