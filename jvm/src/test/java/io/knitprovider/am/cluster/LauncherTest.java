package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.am.FakeClock;
import io.knitprovider.am.SpecBuilder;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.Resources;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.ContainerRecord;
import io.knitprovider.am.state.Outcome;
import java.io.IOException;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.yarn.client.api.NMClient;
import org.apache.hadoop.yarn.exceptions.InvalidContainerException;
import org.apache.hadoop.yarn.exceptions.YarnException;
import org.junit.jupiter.api.Test;

class LauncherTest {

  private final ApplicationSpec spec = SpecBuilder.one(1);
  private final ApplicationState state = new ApplicationState(spec, new FakeClock(), entry -> {});
  private final NodeExclusion exclusion = new NodeExclusion();
  private final Semaphore told = new Semaphore(0);
  private int containers = 1;

  private Launcher launcher(Exception answer) throws IOException {
    return new Launcher(
        () -> new ScriptedNode(answer),
        new LaunchContexts(spec, null, new ContainerCredentials(new Credentials())),
        state,
        exclusion,
        () -> 10,
        new FakeClock(),
        told::release);
  }

  private void launch(Launcher launcher) throws InterruptedException {
    ContainerRecord record =
        state.place(
            state.wanted().keySet().iterator().next(),
            "container_1_0001_01_" + (++containers),
            "n1:1",
            "n1:2",
            new Resources(128, 1, Collections.emptyMap()));
    launcher.launch(record);
    assertTrue(told.tryAcquire(30, TimeUnit.SECONDS), "the launch came to nothing");
  }

  private int wanted() {
    return state.wanted().values().iterator().next();
  }

  private void isReplacedWithoutCounting(Exception answer) throws Exception {
    state.begin();
    launch(launcher(answer));
    assertNull(state.outcome());
    assertEquals(1, wanted());
    assertEquals(0, state.servicesView().getJSONObject("work").getInt("restarts"));
  }

  @Test
  void aContainerOfAnEarlierResourceManagerIsNobodysFailure() throws Exception {
    isReplacedWithoutCounting(new InvalidContainerException("allocated by a previous RM"));
    assertFalse(exclusion.contains("n1:1"), "nor the node's");
  }

  @Test
  void aTokenThatTheNodesClockCallsExpiredIsNobodysFailure() throws Exception {
    isReplacedWithoutCounting(new YarnException("This token is expired."));
  }

  @Test
  void aNodeWhoseNameNobodyKnowsIsNotTheProgramsFault() throws Exception {
    isReplacedWithoutCounting(new IllegalArgumentException(new UnknownHostException("n1")));
    assertTrue(exclusion.contains("n1:1"));
  }

  @Test
  void whatIsRefusedTenTimesInARowFailsAllTheSame() throws Exception {
    state.begin();
    Launcher launcher = launcher(new YarnException("no"));
    for (int i = 0; i < 9; i++) {
      launch(launcher);
      assertNull(state.outcome());
    }
    launch(launcher);
    assertEquals(Outcome.FinalStatus.FAILED, state.outcome().finalStatus);
  }

  @Test
  void hadoopsClientIsReplacedBeforeItRemembersTooMuch() {
    List<NMClient> made = new ArrayList<>();
    ScheduledExecutorService later = new ScheduledThreadPoolExecutor(1);
    NodeClients clients =
        new NodeClients(
            () -> {
              made.add(new ScriptedNode(null));
              return made.get(made.size() - 1);
            },
            later);
    for (int i = 0; i < NodeClients.MOST_LAUNCHES; i++) {
      assertSame(made.get(0), clients.forLaunch());
    }
    assertNotSame(made.get(0), clients.forLaunch());
    assertEquals(2, made.size());
    assertSame(made.get(1), clients.current());
    assertEquals(1, later.shutdownNow().size(), "the old one is ended later");
  }
}
