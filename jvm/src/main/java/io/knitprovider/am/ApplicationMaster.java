package io.knitprovider.am;

import io.knitprovider.am.cluster.ClusterConf;
import io.knitprovider.am.cluster.ContainerCredentials;
import io.knitprovider.am.cluster.Heartbeat;
import io.knitprovider.am.cluster.LaunchContexts;
import io.knitprovider.am.cluster.Registration;
import io.knitprovider.am.control.ControlSecrets;
import io.knitprovider.am.control.ControlServer;
import io.knitprovider.am.control.Lease;
import io.knitprovider.am.control.LeaseWatch;
import io.knitprovider.am.control.LifetimeWatch;
import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.SpecReader;
import io.knitprovider.am.state.ApplicationState;
import io.knitprovider.am.state.Outcome;
import io.knitprovider.am.store.Journal;
import io.knitprovider.am.tokens.TokenDates;
import io.knitprovider.am.tokens.TokenKeeper;
import io.knitprovider.am.tokens.TokenSource;
import io.knitprovider.common.InvalidInput;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.Collections;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.yarn.exceptions.YarnException;

/**
 * One attempt, from its first line to its last: registers with the ResourceManager, asks for the
 * first containers, and meanwhile opens the filesystem, where the ledger decides whether anything
 * may be launched at all. Then it waits for whatever ends the application.
 */
final class ApplicationMaster {

  private static final Clock CLOCK = Clock.SYSTEM;

  /** How long the control channel leaves the first containers the way. */
  private static final long CONTROL_MS = 1_000;

  private final AmEnvironment environment;
  private final int attempt;
  private ApplicationSpec spec;
  private ContainerCredentials passedOn;
  private TokenKeeper tokens;
  private volatile ApplicationState state;
  private volatile MasterScript masterScript;

  ApplicationMaster(AmEnvironment environment) {
    this.environment = environment;
    this.attempt = environment.attempt;
  }

  /** Runs the attempt to its end; returns the process's exit code. */
  int run() throws IOException, YarnException, InterruptedException {
    Warmup.start();
    try {
      spec = SpecReader.read(AmEnvironment.readSpec());
      if (!spec.applicationId.equals(environment.applicationId)) {
        throw new InvalidInput("the document is that of " + spec.applicationId);
      }
    } catch (InvalidInput e) {
      return refuse("The application's document is not usable: " + e.getMessage());
    }
    // Starting is loading classes: on two processors rather than on one.
    CompletableFuture<ControlServer> port = CompletableFuture.supplyAsync(this::bind);
    Configuration files = ClusterConf.forFiles(spec.hadoopConf);
    Configuration conf = ClusterConf.forYarn(files);
    UserGroupInformation.setConfiguration(conf);
    Credentials credentials = UserGroupInformation.getCurrentUser().getCredentials();
    passedOn = passedOn(credentials);
    tokens =
        spec.keytab == null
            ? null
            : new TokenKeeper(new TokenSource(spec.keytab, files), passedOn, CLOCK);
    // A first attempt comes soon after the submission, whose tokens a later one may outlive.
    Runnable first = tokens == null || attempt == 1 ? () -> {} : tokens::first;
    Claiming claiming = Claiming.start(spec, files, attempt, environment.containerId, first);
    Registration registration = new Registration(conf, CLOCK);
    ControlSecrets secrets =
        ControlSecrets.from(alias -> credentials.getSecretKey(new Text(alias)));
    ControlServer control = null;
    String obstacle = null;
    try {
      control = port.join();
    } catch (CompletionException e) {
      obstacle = e.getCause().getMessage();
    }
    if (control != null && secrets == null) {
      Log.warn("the submission brought no secrets: there is no control channel");
      control.stop();
      control = null;
    }
    registration.register(environment.host, control == null ? -1 : control.port());
    logRegistered();
    return serve(conf, registration, claiming, secrets, control, obstacle);
  }

  /** When its tokens end matters only where there will be others, and takes classes to tell. */
  private ContainerCredentials passedOn(Credentials own) throws IOException {
    return spec.keytab == null
        ? new ContainerCredentials(own)
        : new ContainerCredentials(own, TokenDates.end(own));
  }

  private ControlServer bind() {
    try {
      return ControlServer.bind(environment.host, spec.lowPort, spec.highPort);
    } catch (IOException e) {
      throw new CompletionException(e.getMessage(), e);
    }
  }

  private void logRegistered() {
    long since = environment.launchedMs;
    Log.info(
        "registered attempt "
            + attempt
            + " of "
            + spec.applicationId
            + (since == 0 ? "" : " after " + (CLOCK.wallMs() - since) + " ms"));
  }

  private int serve(
      Configuration conf,
      Registration registration,
      Claiming claiming,
      ControlSecrets secrets,
      ControlServer control,
      String obstacle)
      throws IOException, InterruptedException {
    Lease lease = new Lease(CLOCK, spec.bound, spec.leaseSeconds);
    Journal journal = new Journal(attempt, CLOCK);
    ApplicationState application = new ApplicationState(spec, CLOCK, journal);
    Heartbeat[] heartbeat = new Heartbeat[1];
    ControlPanel panel =
        new ControlPanel(
            spec,
            application,
            journal,
            lease,
            attempt,
            environment.containerId,
            () -> heartbeat[0].wake());
    heartbeat[0] =
        new Heartbeat(
            registration.client(),
            attempt > 1,
            application,
            journal,
            CLOCK,
            panel::progress,
            this::leave);
    state = application;
    registration.learnResourceTypes();
    String excess = application.limit(registration.maximum());
    if (obstacle != null || excess != null) {
      application.end(Outcome.failed(obstacle != null ? obstacle : excess));
    }
    if (attempt == 1) {
      application.begin();
    }
    String address = control == null ? null : environment.host + ":" + control.port();
    heartbeat[0].start(conf, new LaunchContexts(spec, address, passedOn));
    Ending ending = new Ending(spec, application, journal, registration, heartbeat[0], control);

    // The first containers are asked for. Whatever else there is to do leaves them the way.
    CountDownLatch opened = new CountDownLatch(1);
    startControlLater(opened, control, secrets, panel);
    Opening opening =
        new Opening(claiming, spec, application, journal, attempt, environment.containerId);
    boolean goesOn = opening.open(registration.survivors(), heartbeat[0], lease, panel);
    opened.countDown();
    if (goesOn) {
      if (address != null) {
        opening.publish(environment.host, control.port());
      }
      watch(lease, claiming, application, heartbeat[0]);
      watchLifetime(claiming, application, heartbeat[0]);
      if (spec.masterScript != null) {
        startMaster(opening, address, application, journal);
      }
      if (tokens != null) {
        tokens.start(Arrays.asList(claiming::layTokens, this::handToMaster));
      }
    }
    Outcome outcome = application.awaitOutcome();
    return ending.carryOut(outcome, claiming, masterScript);
  }

  /**
   * Lets the control channel answer once the first containers are on their way, or after a second:
   * loading what TLS needs takes as long as launching them, and nobody calls so soon. Callers are
   * kept waiting meanwhile, not refused, as the port is open.
   */
  private static void startControlLater(
      CountDownLatch opened, ControlServer control, ControlSecrets secrets, ControlPanel panel) {
    if (control == null) {
      return;
    }
    Thread thread =
        new Thread(
            () -> {
              try {
                if (!opened.await(CONTROL_MS, TimeUnit.MILLISECONDS)) {
                  Log.debug("the control channel starts before the filesystem is open");
                }
                control.start(secrets, panel);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              } catch (GeneralSecurityException | IOException e) {
                control.stop();
                Log.warn(
                    "the control channel's key or certificate is not usable: there is no channel",
                    e);
              }
            },
            "control-start");
    thread.setDaemon(true);
    thread.start();
  }

  private void watch(
      Lease lease, Claiming claiming, ApplicationState application, Heartbeat heartbeat) {
    if (!lease.isBound()) {
      return;
    }
    Runnable expire =
        () -> {
          Log.info("the lease has expired");
          application.end(
              Outcome.killed(
                  "Nobody renewed the lease of this bound application for "
                      + lease.seconds()
                      + " s: whoever started it is gone. Start it detached (bound=False) to let it"
                      + " live on."));
          heartbeat.wake();
        };
    new LeaseWatch(lease, CLOCK, claiming::leaseTouched, claiming.leaseAtStart(), expire).start();
  }

  private void watchLifetime(Claiming claiming, ApplicationState application, Heartbeat heartbeat) {
    if (spec.lifetimeSeconds <= 0) {
      return;
    }
    long now = CLOCK.wallMs();
    long since = environment.submittedMs == 0 ? now : environment.submittedMs;
    LifetimeWatch.start(
        since + spec.lifetimeSeconds * 1000 - now,
        claiming::lifetimeIsOurs,
        () -> {
          Log.info("the lifetime is over, and YARN knew of none");
          application.end(
              Outcome.killed(
                  "The application's lifetime of " + spec.lifetimeSeconds + " s is over."));
          heartbeat.wake();
        });
  }

  private void handToMaster(byte[] content) throws IOException {
    MasterScript script = masterScript;
    if (script != null) {
      script.replaceTokens(content);
    }
  }

  private void startMaster(
      Opening opening, String address, ApplicationState application, Journal journal)
      throws InterruptedException {
    if (opening.masterStarted() && attempt > spec.maxAttempts) {
      application.end(
          Outcome.failed(
              "The master script was started by an earlier attempt of the ApplicationMaster, which"
                  + " is gone; max_attempts is "
                  + spec.maxAttempts
                  + ", so it is not run again."));
      return;
    }
    masterScript =
        new MasterScript(
            spec.masterScript,
            environment.logDir,
            LaunchContexts.environment(
                spec, address, environment.containerId, "master", 0, environment.logDir.getPath()),
            passedOn.newest());
    journal.write(new org.json.JSONObject().put("event", "master"));
    journal.afterFlush(
        () -> {
          try {
            masterScript.start(application::end);
          } catch (IOException e) {
            application.end(
                Outcome.failed("The master script cannot be started: " + Log.describe(e)));
          }
        });
  }

  /** Registers only to say why nothing can be run: nobody else would. */
  private int refuse(String why) throws IOException, YarnException, InterruptedException {
    Log.warn(why);
    Registration registration =
        new Registration(ClusterConf.forYarn(ClusterConf.forFiles(Collections.emptyMap())), CLOCK);
    registration.register(environment.host, -1);
    registration.unregister(Outcome.failed(why));
    return 0;
  }

  /** Something of ours broke. A later attempt may do better; the last one says what it was. */
  void crashed(Throwable error) {
    Log.error("internal error", error);
    ApplicationState application = state;
    if (application != null
        && attempt >= spec.maxAttempts
        && application.outcome() == null
        && !(error instanceof VirtualMachineError)) {
      application.end(
          Outcome.failed("Internal error of the ApplicationMaster: " + Log.describe(error)));
    } else {
      leave();
    }
  }

  /** Goes at once and leaves the containers to a later attempt, if YARN starts one. */
  private void leave() {
    MasterScript script = masterScript;
    if (script != null) {
      script.stop();
    }
    Runtime.getRuntime().halt(1);
  }
}
