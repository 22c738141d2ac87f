package io.knitprovider.am.rehearsal;

import java.util.function.Supplier;
import org.apache.hadoop.security.token.SecretManager;
import org.apache.hadoop.security.token.TokenIdentifier;

/** Accepts every token of a kind that has the one password. It guards nothing. */
final class Passwords<T extends TokenIdentifier> extends SecretManager<T> {

  private static final byte[] PASSWORD = {'r', 'e', 'h', 'e', 'a', 'r', 's', 'a', 'l'};

  private final Supplier<T> identifier;

  Passwords(Supplier<T> identifier) {
    this.identifier = identifier;
  }

  @Override
  public byte[] createPassword(T of) {
    return PASSWORD.clone();
  }

  @Override
  public byte[] retrievePassword(T of) {
    return PASSWORD.clone();
  }

  @Override
  public T createIdentifier() {
    return identifier.get();
  }
}
