package io.knitprovider.am.cluster;

import io.knitprovider.am.control.ControlSecrets;
import java.io.IOException;
import java.nio.ByteBuffer;
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

  private static final Text AMRM_KIND = new Text("YARN_AM_RM_TOKEN");
  private static final String TIMELINE_PREFIX = "TIMELINE_";
  private static final String OUR_PREFIX = "knit.";
  private static final Set<String> FOR_WORKERS =
      new HashSet<>(Arrays.asList(ControlSecrets.WORKER, ControlSecrets.CERTIFICATE));

  private final Credentials filtered;
  private final byte[] serialized;

  public ContainerCredentials(Credentials own) throws IOException {
    filtered = filter(own);
    DataOutputBuffer out = new DataOutputBuffer();
    filtered.writeTokenStorageToStream(out);
    serialized = Arrays.copyOf(out.getData(), out.getLength());
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

  Credentials credentials() {
    return filtered;
  }

  /**
   * The serialized credentials. Hadoop rewinds and reads the buffer, so each launch has its own.
   */
  ByteBuffer duplicate() {
    return ByteBuffer.wrap(serialized).asReadOnlyBuffer();
  }

  /** The same as a file's content, for a process on our own node. */
  public byte[] fileContent() {
    return serialized.clone();
  }
}
