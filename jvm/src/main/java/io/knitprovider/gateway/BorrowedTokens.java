package io.knitprovider.gateway;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;

/** Tokens that this process was lent, and what of them an application may have. */
final class BorrowedTokens {

  // What makes its bearer a part of the application that it was made for, or lets it act towards
  // YARN as its owner.
  private static final Set<String> NOT_PASSED_ON =
      new HashSet<>(
          Arrays.asList(
              "YARN_AM_RM_TOKEN",
              "NMToken",
              "ContainerToken",
              "Localizer",
              "YARN_CLIENT_TOKEN",
              "mapreduce.job",
              "RM_DELEGATION_TOKEN"));
  private static final String TIMELINE_PREFIX = "TIMELINE_";

  private BorrowedTokens() {}

  /** Adds those that may be passed on, and says whether there was any. */
  static boolean passOn(Credentials borrowed, Credentials target) {
    boolean any = false;
    for (Token<? extends TokenIdentifier> token : borrowed.getAllTokens()) {
      if (mayBePassedOn(token.getKind())) {
        target.addToken(token.getService(), token);
        any = true;
      }
    }
    return any;
  }

  private static boolean mayBePassedOn(Text kind) {
    String name = kind.toString();
    return !NOT_PASSED_ON.contains(name) && !name.startsWith(TIMELINE_PREFIX);
  }
}
