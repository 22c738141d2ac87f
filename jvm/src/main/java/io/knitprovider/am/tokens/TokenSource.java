package io.knitprovider.am.tokens;

import io.knitprovider.am.Log;
import io.knitprovider.am.spec.KeytabSpec;
import java.io.IOException;
import java.net.URI;
import java.security.PrivilegedExceptionAction;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/**
 * Logs in from the keytab and asks for delegation tokens. Each time anew, and beside the login that
 * the ApplicationMaster has: that one holds the token for the ResourceManager, and a ticket there
 * would be tried in its place.
 */
public final class TokenSource {

  /** Hadoop's own default, for tokens that do not say how long they hold. */
  private static final long USUAL_INTERVAL_MS = 24 * 3_600_000L;

  private final KeytabSpec keytab;
  private final Configuration conf;

  public TokenSource(KeytabSpec keytab, Configuration conf) {
    this.keytab = keytab;
    this.conf = conf;
  }

  /** New tokens, and how long they hold without being renewed. */
  static final class Fresh {
    final Credentials credentials;
    final long intervalMs;

    Fresh(Credentials credentials, long intervalMs) {
      this.credentials = credentials;
      this.intervalMs = intervalMs;
    }
  }

  /**
   * Gets new tokens, and keeps earlier ones alive.
   *
   * @param earlier those that were got before; who cannot be renewed any more is taken out
   */
  Fresh get(List<Credentials> earlier) throws IOException, InterruptedException {
    UserGroupInformation user =
        UserGroupInformation.loginUserFromKeytabAndReturnUGI(keytab.principal, keytab.file);
    return user.doAs(
        (PrivilegedExceptionAction<Fresh>)
            () -> {
              Fresh fresh = ask(user.getUserName());
              for (Iterator<Credentials> each = earlier.iterator(); each.hasNext(); ) {
                if (!renew(each.next())) {
                  each.remove();
                }
              }
              return fresh;
            });
  }

  private boolean renew(Credentials credentials) throws InterruptedException {
    try {
      for (Token<? extends TokenIdentifier> token : credentials.getAllTokens()) {
        if (token.isManaged()) {
          token.renew(conf);
        }
      }
      return true;
    } catch (IOException | RuntimeException e) {
      Log.debug("earlier tokens end: " + Log.describe(e));
      return false;
    }
  }

  private Fresh ask(String renewer) throws IOException, InterruptedException {
    Credentials found = new Credentials();
    for (URI uri : filesystems()) {
      // Not out of Hadoop's cache, which would keep one for each login.
      try (FileSystem filesystem = FileSystem.newInstance(uri, conf)) {
        filesystem.addDelegationTokens(renewer, found);
      }
    }
    if (found.numberOfTokens() == 0) {
      throw new IOException("no filesystem of " + filesystems() + " gave a delegation token");
    }
    // A token is only told how long it holds when it is renewed, so the renewer is ourselves.
    long interval = Long.MAX_VALUE;
    for (Token<? extends TokenIdentifier> token : found.getAllTokens()) {
      interval = Math.min(interval, interval(token));
    }
    return new Fresh(found, interval == Long.MAX_VALUE ? USUAL_INTERVAL_MS : interval);
  }

  private long interval(Token<? extends TokenIdentifier> token) throws InterruptedException {
    try {
      long issued = TokenDates.issued(token);
      if (issued > 0 && token.isManaged()) {
        return Math.max(1_000, token.renew(conf) - issued);
      }
    } catch (IOException | RuntimeException e) {
      Log.warn("nobody says how long the " + token.getKind() + " holds", e);
    }
    return Long.MAX_VALUE;
  }

  private Set<URI> filesystems() {
    Set<URI> uris = new LinkedHashSet<>();
    uris.add(FileSystem.getDefaultUri(conf));
    for (String uri : keytab.filesystems) {
      uris.add(root(URI.create(uri)));
    }
    // NodeManagers write the logs there as the user, with a container's tokens.
    String logs =
        conf.get(
            YarnConfiguration.NM_REMOTE_APP_LOG_DIR,
            YarnConfiguration.DEFAULT_NM_REMOTE_APP_LOG_DIR);
    uris.add(root(URI.create(logs)));
    return uris;
  }

  private URI root(URI uri) {
    return uri.getScheme() == null || uri.getAuthority() == null
        ? FileSystem.getDefaultUri(conf)
        : URI.create(uri.getScheme() + "://" + uri.getAuthority());
  }
}
