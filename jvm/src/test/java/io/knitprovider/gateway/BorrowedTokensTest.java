package io.knitprovider.gateway;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.TreeSet;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.junit.jupiter.api.Test;

class BorrowedTokensTest {

  private static Credentials holding(String... kinds) {
    Credentials credentials = new Credentials();
    for (String kind : kinds) {
      Text service = new Text("service of " + kind);
      credentials.addToken(
          service, new Token<TokenIdentifier>(new byte[1], new byte[1], new Text(kind), service));
    }
    credentials.addSecretKey(new Text("a secret"), new byte[1]);
    return credentials;
  }

  @Test
  void whatActsWithinYarnIsNotPassedOn() {
    Credentials target = new Credentials();
    boolean any =
        BorrowedTokens.passOn(
            holding(
                "HDFS_DELEGATION_TOKEN",
                "kms-dt",
                "YARN_AM_RM_TOKEN",
                "NMToken",
                "TIMELINE_DELEGATION_TOKEN",
                "RM_DELEGATION_TOKEN"),
            target);
    Set<String> kinds = new TreeSet<>();
    target.getAllTokens().forEach(token -> kinds.add(token.getKind().toString()));
    assertEquals("[HDFS_DELEGATION_TOKEN, kms-dt]", kinds.toString());
    assertEquals(0, target.numberOfSecretKeys());
    assertTrue(any);
  }

  @Test
  void nothingIsBorrowedWhereNothingMayBePassedOn() {
    assertFalse(BorrowedTokens.passOn(holding("YARN_AM_RM_TOKEN"), new Credentials()));
  }
}
