package io.knitprovider.am.cluster;

import io.knitprovider.am.control.ControlSecrets;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.hadoop.io.DataOutputBuffer;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;

/**
 * What of our own credentials the application's containers get. Not the token that makes an
 * ApplicationMaster of its bearer, none for the timeline server, and of our secrets only what a
 * worker needs to talk to us.
 */
public final class ContainerCredentials {

  /** Where containers fetch newer tokens, in the staging folder. */
  public static final String FILE = "tokens";

  private static final Text AMRM_KIND = new Text("YARN_AM_RM_TOKEN");
  private static final String TIMELINE_PREFIX = "TIMELINE_";
  private static final String OUR_PREFIX = "knit.";
  private static final Set<String> FOR_WORKERS =
      new HashSet<>(Arrays.asList(ControlSecrets.WORKER, ControlSecrets.CERTIFICATE));

  /** No secret: when newer tokens are due and when these end, in milliseconds since the epoch. */
  private static final Text DATES = new Text("knit.tokens.dates");

  private final Credentials filtered;
  private final byte[] serialized;
  private final long endMs;
  private volatile Renewed renewed;

  /** A later set of tokens. */
  private static final class Renewed {
    private final byte[] serialized;
    private final long dueMs;
    private final long endMs;

    private Renewed(byte[] serialized, long dueMs, long endMs) {
      this.serialized = serialized;
      this.dueMs = dueMs;
      this.endMs = endMs;
    }
  }

  public ContainerCredentials(Credentials own) throws IOException {
    this(own, Long.MAX_VALUE);
  }

  /**
   * @param endMs when the first of the tokens ends for good, in milliseconds since the epoch
   */
  public ContainerCredentials(Credentials own, long endMs) throws IOException {
    this.endMs = endMs;
    filtered = filter(own);
    serialized = serialize(filtered);
  }

  private static byte[] serialize(Credentials credentials) throws IOException {
    DataOutputBuffer out = new DataOutputBuffer();
    credentials.writeTokenStorageToStream(out);
    return Arrays.copyOf(out.getData(), out.getLength());
  }

  static Credentials filter(Credentials own) {
    Credentials filtered = new Credentials();
    for (Token<? extends TokenIdentifier> token : own.getAllTokens()) {
      boolean ours = AMRM_KIND.equals(token.getKind());
      if (!ours && !token.getKind().toString().startsWith(TIMELINE_PREFIX)) {
        filtered.addToken(token.getService(), token);
      }
    }
    for (Text alias : own.getAllSecretKeys()) {
      String name = alias.toString();
      if (!name.startsWith(OUR_PREFIX) || FOR_WORKERS.contains(name)) {
        filtered.addSecretKey(alias, own.getSecretKey(alias));
      }
    }
    return filtered;
  }

  /**
   * There are newer tokens.
   *
   * @param fresh they alone
   * @param dueMs when there will be newer ones again
   * @param endMs when they end
   */
  public void renewed(Credentials fresh, long dueMs, long endMs) throws IOException {
    Credentials whole = new Credentials(filtered);
    whole.addAll(filter(fresh));
    whole.addSecretKey(DATES, (dueMs + " " + endMs).getBytes(StandardCharsets.US_ASCII));
    renewed = new Renewed(serialize(whole), dueMs, endMs);
  }

  /** How long the newest tokens hold. */
  public long leftMs(long nowMs) {
    Renewed newer = renewed;
    return (newer == null ? endMs : newer.endMs) - nowMs;
  }

  /** What a container is launched with now: the tokens of the submission, unless they end soon. */
  private Renewed atLaunch(long nowMs) {
    Renewed newer = renewed;
    return newer == null || endMs - nowMs > newer.endMs - newer.dueMs ? null : newer;
  }

  /**
   * The serialized credentials. Hadoop rewinds and reads the buffer, so each launch has its own.
   */
  ByteBuffer duplicate(long nowMs) {
    Renewed newer = atLaunch(nowMs);
    return ByteBuffer.wrap(newer == null ? serialized : newer.serialized).asReadOnlyBuffer();
  }

  /** In how many seconds a container that is launched now should look for newer tokens. */
  long secondsToNext(long nowMs) {
    Renewed newer = atLaunch(nowMs);
    return newer == null
        // Renewed by the ResourceManager until their end. Four looks before it are enough.
        ? Math.max(1, Math.min((endMs - nowMs) / 4_000, 7 * 24 * 3600))
        : secondsToNext(newer.dueMs, newer.endMs, nowMs);
  }

  /** In how many seconds there will be newer tokens than these. */
  public static long secondsToNext(Credentials fetched, long nowMs) {
    byte[] dates = fetched.getSecretKey(DATES);
    if (dates == null) {
      throw new IllegalArgumentException("the tokens do not say how long they hold");
    }
    String[] parts = new String(dates, StandardCharsets.US_ASCII).split(" ");
    return secondsToNext(Long.parseLong(parts[0]), Long.parseLong(parts[1]), nowMs);
  }

  /** A little after they are due; where they are late already, after a part of what is left. */
  private static long secondsToNext(long dueMs, long endMs, long nowMs) {
    long grace = (endMs - dueMs) / 10;
    long wait = dueMs + grace - nowMs;
    return Math.max(1, (wait > 0 ? wait : Math.max(grace, (endMs - nowMs) / 8)) / 1_000);
  }

  /** The newest of all as a file's content. */
  public byte[] newest() {
    Renewed newer = renewed;
    return (newer == null ? serialized : newer.serialized).clone();
  }
}
