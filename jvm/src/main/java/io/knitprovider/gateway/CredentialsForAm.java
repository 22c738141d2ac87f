package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.io.IOException;
import java.util.Base64;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.net.NetUtils;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.SecurityUtil;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.yarn.conf.HAUtil;
import org.apache.hadoop.yarn.conf.YarnConfiguration;

/**
 * What the ApplicationMaster receives besides its command: our secret keys and, on a secure
 * cluster, delegation tokens.
 */
final class CredentialsForAm {

  private final Call call;
  private final Configuration conf;
  private boolean borrowed;

  CredentialsForAm(Call call) {
    this.call = call;
    this.conf = call.hadoop.conf;
  }

  Credentials collect() throws IOException {
    // Tokens only, as of HADOOP_TOKEN_FILE_LOCATION: other secrets that this process holds are not
    // the application's.
    Credentials credentials = new Credentials();
    borrowed = BorrowedTokens.passOn(call.hadoop.ugi.getCredentials(), credentials);
    for (Map.Entry<String, String> secret : Json.stringMap(call.args, "secrets").entrySet()) {
      credentials.addSecretKey(new Text(secret.getKey()), decode(secret));
    }
    if (UserGroupInformation.isSecurityEnabled()) {
      String renewer = renewer();
      for (Path path : filesystems()) {
        // Leaves out filesystems for which there is a token already.
        FileSystem filesystem = call.hadoop.filesystem(path);
        filesystem.addDelegationTokens(renewer, credentials);
      }
    }
    return credentials;
  }

  /** Whether some of what was collected is somebody else's too, who needs it longer. */
  boolean areBorrowed() {
    return borrowed;
  }

  private Set<Path> filesystems() {
    Set<Path> paths = new LinkedHashSet<>();
    paths.add(new Path(FileSystem.getDefaultUri(conf)));
    for (String uri : Json.strings(call.args, "token_filesystems")) {
      paths.add(new Path(uri));
    }
    // NodeManagers write the logs as the user, with the application's tokens.
    paths.add(
        new Path(
            conf.get(
                YarnConfiguration.NM_REMOTE_APP_LOG_DIR,
                YarnConfiguration.DEFAULT_NM_REMOTE_APP_LOG_DIR)));
    return paths;
  }

  /** The ResourceManager renews the tokens, so its principal has to be in them. */
  private String renewer() throws IOException {
    String principal = conf.get(YarnConfiguration.RM_PRINCIPAL, "");
    if (principal.isEmpty()) {
      throw new InvalidInput(
          YarnConfiguration.RM_PRINCIPAL
              + " is not set: on a secure cluster it names who may renew the tokens");
    }
    String address = YarnConfiguration.RM_ADDRESS;
    String configured = conf.get(address);
    if (HAUtil.isHAEnabled(conf)) {
      // Any of them: the host only fills in _HOST, and the NameNode looks at the short name.
      configured = call.hadoop.resourceManagerAddresses().get(0);
    }
    String host =
        NetUtils.createSocketAddr(configured, YarnConfiguration.DEFAULT_RM_PORT, address)
            .getHostName();
    return SecurityUtil.getServerPrincipal(principal, host);
  }

  private static byte[] decode(Map.Entry<String, String> secret) {
    try {
      return Base64.getDecoder().decode(secret.getValue());
    } catch (IllegalArgumentException e) {
      throw new InvalidInput("the secret " + secret.getKey() + " is not base64");
    }
  }
}
