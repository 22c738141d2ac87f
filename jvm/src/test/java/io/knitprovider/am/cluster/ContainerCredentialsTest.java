package io.knitprovider.am.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.junit.jupiter.api.Test;

class ContainerCredentialsTest {

  private final Credentials own = new Credentials();

  private void token(String kind) {
    Text name = new Text(kind);
    own.addToken(name, new Token<TokenIdentifier>(new byte[] {1}, new byte[] {2}, name, name));
  }

  private static Credentials read(ByteBuffer buffer) throws IOException {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    Credentials credentials = new Credentials();
    credentials.readTokenStorageStream(new DataInputStream(new ByteArrayInputStream(bytes)));
    return credentials;
  }

  @Test
  void containersGetNothingThatMakesThemMaster() throws IOException {
    token("YARN_AM_RM_TOKEN");
    token("TIMELINE_DELEGATION_TOKEN");
    token("HDFS_DELEGATION_TOKEN");
    for (String name :
        new String[] {
          "knit.control.secret", "knit.key", "knit.worker.secret", "knit.certificate", "of.others"
        }) {
      own.addSecretKey(new Text(name), new byte[] {3});
    }
    ContainerCredentials credentials = new ContainerCredentials(own);
    Credentials passed = read(credentials.duplicate(0));
    assertEquals(1, passed.numberOfTokens());
    assertNotNull(passed.getToken(new Text("HDFS_DELEGATION_TOKEN")));
    assertNull(passed.getSecretKey(new Text("knit.control.secret")));
    assertNull(passed.getSecretKey(new Text("knit.key")));
    assertNotNull(passed.getSecretKey(new Text("knit.worker.secret")));
    assertNotNull(passed.getSecretKey(new Text("knit.certificate")));
    assertNotNull(passed.getSecretKey(new Text("of.others")));
    assertEquals(5, own.numberOfSecretKeys(), "our own stay as they are");
  }

  @Test
  void everyLaunchHasABufferOfItsOwn() throws IOException {
    token("HDFS_DELEGATION_TOKEN");
    ContainerCredentials credentials = new ContainerCredentials(own);
    ByteBuffer first = credentials.duplicate(0);
    read(first);
    assertEquals(0, first.remaining());
    assertEquals(1, read(credentials.duplicate(0)).numberOfTokens());
  }

  @Test
  void theTokensOfTheSubmissionServeUntilTheyEndSoon() throws IOException {
    token("HDFS_DELEGATION_TOKEN");
    own.addSecretKey(new Text("knit.worker.secret"), new byte[] {3});
    ContainerCredentials credentials = new ContainerCredentials(own, 100_000);
    assertEquals(25, credentials.secondsToNext(0), "they are renewed until then");
    Text name = new Text("HDFS_DELEGATION_TOKEN");
    Credentials fresh = new Credentials();
    fresh.addToken(name, new Token<TokenIdentifier>(new byte[] {9}, new byte[] {9}, name, name));
    credentials.renewed(fresh, 30_000, 40_000);
    assertEquals(1, read(credentials.duplicate(89_000)).getToken(name).getIdentifier()[0]);
    Credentials late = read(credentials.duplicate(91_000));
    assertEquals(9, late.getToken(name).getIdentifier()[0]);
    assertNotNull(late.getSecretKey(new Text("knit.worker.secret")));
    assertEquals(9, tokenOf(credentials.newest(), name), "whoever asks for new ones gets them");
    assertEquals(40_000 - 91_000, credentials.leftMs(91_000));
  }

  @Test
  void newerTokensAreLookedForALittleAfterTheyAreDue() throws IOException {
    ContainerCredentials credentials = new ContainerCredentials(own, 10);
    credentials.renewed(new Credentials(), 30_000, 50_000);
    Credentials fetched = new Credentials();
    fetched.readTokenStorageStream(
        new DataInputStream(new ByteArrayInputStream(credentials.newest())));
    assertEquals(32, ContainerCredentials.secondsToNext(fetched, 0));
    assertEquals(2, ContainerCredentials.secondsToNext(fetched, 33_000), "they are late");
    assertEquals(1, ContainerCredentials.secondsToNext(new Credentials(fetched), 31_500));
  }

  private static int tokenOf(byte[] content, Text name) throws IOException {
    return read(ByteBuffer.wrap(content)).getToken(name).getIdentifier()[0];
  }
}
