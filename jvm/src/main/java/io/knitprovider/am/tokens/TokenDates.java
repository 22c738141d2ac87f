package io.knitprovider.am.tokens;

import java.io.IOException;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.apache.hadoop.security.token.delegation.AbstractDelegationTokenIdentifier;

/** What delegation tokens say of their own life. */
public final class TokenDates {

  private TokenDates() {}

  /**
   * When the first of them ends for good, however often it is renewed; for ever where none says.
   */
  public static long end(Credentials credentials) {
    long end = Long.MAX_VALUE;
    for (Token<? extends TokenIdentifier> token : credentials.getAllTokens()) {
      AbstractDelegationTokenIdentifier identifier = identifier(token);
      if (identifier != null && identifier.getMaxDate() > 0) {
        end = Math.min(end, identifier.getMaxDate());
      }
    }
    return end;
  }

  /** When it was made, by its maker's clock; 0 where it does not say. */
  static long issued(Token<? extends TokenIdentifier> token) {
    AbstractDelegationTokenIdentifier identifier = identifier(token);
    return identifier == null ? 0 : identifier.getIssueDate();
  }

  private static AbstractDelegationTokenIdentifier identifier(
      Token<? extends TokenIdentifier> token) {
    try {
      TokenIdentifier found = token.decodeIdentifier();
      return found instanceof AbstractDelegationTokenIdentifier
          ? (AbstractDelegationTokenIdentifier) found
          : null;
    } catch (IOException | RuntimeException e) {
      return null; // of a kind that the classes here do not know
    }
  }
}
