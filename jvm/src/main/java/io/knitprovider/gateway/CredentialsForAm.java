package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.DataOutputBuffer;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.net.NetUtils;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.SecurityUtil;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.apache.hadoop.yarn.conf.HAUtil;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.json.JSONArray;
import org.json.JSONObject;

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

  /** The tokens alone, for Python to look at before it submits with them. */
  static Object tokens(Call call) throws IOException {
    CredentialsForAm collected = new CredentialsForAm(call);
    Credentials credentials = new Credentials();
    collected.addTokens(credentials);
    JSONArray texts = new JSONArray();
    for (Token<? extends TokenIdentifier> token : credentials.getAllTokens()) {
      texts.put(token.encodeToUrlString());
    }
    DataOutputBuffer storage = new DataOutputBuffer();
    credentials.writeTokenStorageToStream(storage);
    byte[] bytes = Arrays.copyOf(storage.getData(), storage.getLength());
    return new JSONObject()
        .put("texts", texts)
        // As a whole, since clients of key servers find their token by an alias of its own.
        .put("storage", Base64.getEncoder().encodeToString(bytes))
        .put("borrowed", collected.borrowed);
  }

  Credentials collect() throws IOException {
    Credentials credentials = new Credentials();
    for (Map.Entry<String, String> secret : Json.stringMap(call.args, "secrets").entrySet()) {
      credentials.addSecretKey(new Text(secret.getKey()), decode(secret));
    }
    JSONObject given = Json.objectOrNull(call.args, "tokens");
    if (given == null) {
      addTokens(credentials);
      return credentials;
    }
    borrowed = Json.bool(given, "borrowed", false);
    byte[] storage = Base64.getDecoder().decode(Json.string(given, "storage"));
    Credentials tokens = new Credentials();
    tokens.readTokenStorageStream(new DataInputStream(new ByteArrayInputStream(storage)));
    credentials.addAll(tokens);
    return credentials;
  }

  private void addTokens(Credentials credentials) throws IOException {
    // Tokens only, as of HADOOP_TOKEN_FILE_LOCATION: other secrets that this process holds are not
    // the application's.
    borrowed = BorrowedTokens.passOn(call.hadoop.ugi.getCredentials(), credentials);
    if (UserGroupInformation.isSecurityEnabled()) {
      String renewer = renewer();
      for (Path path : filesystems()) {
        // Leaves out filesystems for which there is a token already.
        FileSystem filesystem = call.hadoop.filesystem(path);
        filesystem.addDelegationTokens(renewer, credentials);
      }
    }
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
