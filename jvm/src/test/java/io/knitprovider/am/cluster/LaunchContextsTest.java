package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.ContainerRecord;
import java.util.Collections;
import java.util.Map;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.yarn.api.records.ApplicationAccessType;
import org.apache.hadoop.yarn.api.records.ContainerLaunchContext;
import org.apache.hadoop.yarn.api.records.LocalResourceVisibility;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class LaunchContextsTest {

  private final SpecBuilder builder = new SpecBuilder();

  private ContainerLaunchContext build(String address) throws Exception {
    builder.service("work", 1);
    ApplicationSpec spec = builder.build();
    ApplicationState state = new ApplicationState(spec, new FakeClock(), entry -> {});
    state.begin();
    ContainerRecord record =
        state.place(
            state.wanted().keySet().iterator().next(),
            "container_1_0001_01_000002",
            "n1:1",
            "n1:2",
            new Resources(128, 1, Collections.emptyMap()));
    return new LaunchContexts(spec, address, new ContainerCredentials(new Credentials()))
        .build(record);
  }

  @Test
  void onlyConstantsOfOursAreInTheContext() throws Exception {
    builder.json.put("user", "alice").put("acls", new JSONObject().put("view", "bob ops"));
    ContainerLaunchContext context = build("am7:4711");
    assertEquals(
        "[exec /bin/bash ./knit-run.sh 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr]",
        context.getCommands().toString());
    Map<String, String> environment = context.getEnvironment();
    assertEquals("application_1_0001", environment.get("KNIT_APP_ID"));
    assertEquals("container_1_0001_01_000002", environment.get("KNIT_CONTAINER_ID"));
    assertEquals("work", environment.get("KNIT_SERVICE"));
    assertEquals("0", environment.get("KNIT_INDEX"));
    assertEquals("<LOG_DIR>/knit-result.json", environment.get("KNIT_RESULT"));
    assertEquals("1", environment.get("PYTHONUNBUFFERED"));
    assertEquals("am7:4711", environment.get("KNIT_AM_ADDRESS"));
    assertEquals("alice", environment.get("HADOOP_USER_NAME"));
    assertEquals(8, environment.size());
    assertEquals("bob ops", context.getApplicationACLs().get(ApplicationAccessType.VIEW_APP));
    assertFalse(context.getApplicationACLs().containsKey(ApplicationAccessType.MODIFY_APP));
    assertEquals(
        LocalResourceVisibility.PRIVATE,
        context.getLocalResources().get("knit-run.sh").getVisibility());
    assertEquals(2, context.getLocalResources().get("knit-run.sh").getTimestamp());
  }

  @Test
  void onASecureClusterTheTicketSaysWhoItIs() throws Exception {
    builder.json.put("user", "alice").put("secure", true);
    Map<String, String> environment = build(null).getEnvironment();
    assertFalse(environment.containsKey("HADOOP_USER_NAME"));
    assertFalse(environment.containsKey("KNIT_AM_ADDRESS"), "there is no channel");
    assertTrue(environment.containsKey("KNIT_APP_ID"));
  }
}
