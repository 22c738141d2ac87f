package io.knitprovider.am.tokens;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import io.knitprovider.am.cluster.ContainerCredentials;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Keeps an application in delegation tokens beyond the life of those it was submitted with: gets
 * new ones from the keytab when three quarters of the present ones' time is over, uses them itself,
 * and lays them where the containers fetch them.
 *
 * <p>Those of the submission are not touched. NodeManagers collect the logs with the tokens of an
 * application's first container on the node, and the ResourceManager renews only those: so
 * containers are launched with them as long as they last. What was got from the keytab is renewed
 * by ourselves as long as that goes: for containers that are late to fetch, and for the logs of
 * nodes that came later.
 */
public final class TokenKeeper {

  private static final long RETRY_MS = 30_000;

  /** Takes the serialized credentials that containers get. */
  public interface Sink {
    void accept(byte[] content) throws IOException;
  }

  private final TokenSource source;
  private final ContainerCredentials passedOn;
  private final Clock clock;
  private final List<Credentials> earlier = new ArrayList<>();
  private final List<Sink> sinks = new ArrayList<>();
  private long dueMs;
  private boolean any;
  private boolean delivered = true;

  public TokenKeeper(TokenSource source, ContainerCredentials passedOn, Clock clock) {
    this.source = source;
    this.passedOn = passedOn;
    this.clock = clock;
  }

  /**
   * Gets new tokens now, if none have been got yet. For an attempt that may begin when those of the
   * submission are over; where it fails they are used all the same.
   */
  public synchronized void first() {
    if (!any) {
      renew();
    }
  }

  /** Goes on in a thread of its own from here, and lays the tokens down at each of the places. */
  public synchronized void start(List<Sink> places) {
    sinks.addAll(places);
    Thread thread = new Thread(this::run, "tokens");
    thread.setDaemon(true);
    thread.start();
  }

  private void run() {
    try {
      while (true) {
        Thread.sleep(step());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Does what is due; returns when to look again, in milliseconds. */
  synchronized long step() {
    if (clock.wallMs() >= dueMs) {
      renew();
    }
    if (!delivered) {
      deliver();
    }
    long left = Math.max(1, dueMs - clock.wallMs());
    return delivered ? left : Math.min(left, retryMs());
  }

  private void renew() {
    try {
      TokenSource.Fresh fresh = source.get(earlier);
      // Connections that are made from now on use them, also those of filesystems that are open.
      UserGroupInformation.getLoginUser().addCredentials(fresh.credentials);
      earlier.add(fresh.credentials);
      long now = clock.wallMs();
      dueMs = now + fresh.intervalMs / 4 * 3;
      any = true;
      delivered = false;
      passedOn.renewed(fresh.credentials, dueMs, now + fresh.intervalMs);
      Log.info("new tokens, for " + fresh.intervalMs / 1000 + " s");
    } catch (IOException | RuntimeException | LinkageError e) {
      Log.warn("no new tokens could be got from the keytab, trying again", e);
      dueMs = clock.wallMs() + retryMs();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private long retryMs() {
    return Math.min(RETRY_MS, Math.max(1_000, passedOn.leftMs(clock.wallMs()) / 4));
  }

  private void deliver() {
    boolean all = true;
    for (Sink sink : sinks) {
      try {
        sink.accept(passedOn.newest());
      } catch (IOException e) {
        all = false;
        Log.warn("the new tokens could not be laid down for the containers, trying again", e);
      }
    }
    delivered = all;
  }
}
