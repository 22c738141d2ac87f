package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import java.io.File;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.SecurityUtil;
import org.apache.hadoop.security.UserGroupInformation;

/** Who we are to the cluster. */
final class Login {

  private static final String TOKEN_FILE = "HADOOP_TOKEN_FILE_LOCATION";

  private Login() {}

  /**
   * A keytab if there is one; else on a secure cluster the ticket cache or the token file of the
   * environment; else the simple user that was named, or whom Hadoop takes us for ({@code
   * HADOOP_USER_NAME}, the owner of the process). A proxy user goes on top of any of these.
   */
  static UserGroupInformation login(Handshake who, Configuration conf) throws IOException {
    UserGroupInformation.setConfiguration(conf);
    SecurityUtil.setConfiguration(conf);
    UserGroupInformation ugi = real(who);
    return who.proxyUser == null ? ugi : UserGroupInformation.createProxyUser(who.proxyUser, ugi);
  }

  private static UserGroupInformation real(Handshake who) throws IOException {
    if (who.keytab != null) {
      if (!new File(who.keytab).canRead()) {
        throw new InvalidInput("the keytab " + who.keytab + " does not exist or cannot be read");
      }
      // As the login user: Hadoop's RPC client renews the ticket of that one by itself.
      UserGroupInformation.loginUserFromKeytab(who.principal, who.keytab);
      return UserGroupInformation.getLoginUser();
    }
    if (UserGroupInformation.isSecurityEnabled()) {
      UserGroupInformation ugi = UserGroupInformation.getLoginUser();
      if (who.user != null && !who.user.equals(ugi.getShortUserName())) {
        throw new InvalidInput(
            "user is "
                + who.user
                + ", but the Kerberos login is "
                + ugi.getUserName()
                + "; on a secure cluster act for another user through proxy_user");
      }
      return ugi;
    }
    if (who.user == null) {
      return UserGroupInformation.getLoginUser();
    }
    UserGroupInformation ugi = UserGroupInformation.createRemoteUser(who.user);
    String tokens = System.getenv(TOKEN_FILE);
    if (tokens != null && !tokens.isEmpty()) {
      ugi.addCredentials(
          Credentials.readTokenStorageFile(new File(tokens), new Configuration(false)));
    }
    return ugi;
  }
}
