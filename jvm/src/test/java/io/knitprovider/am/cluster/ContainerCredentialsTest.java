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
    Credentials passed = read(credentials.duplicate());
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
    ByteBuffer first = credentials.duplicate();
    read(first);
    assertEquals(0, first.remaining());
    assertEquals(1, read(credentials.duplicate()).numberOfTokens());
  }
}
