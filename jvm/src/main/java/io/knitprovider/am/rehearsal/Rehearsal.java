package io.knitprovider.am.rehearsal;

import io.knitprovider.am.ApplicationMasterMain;
import io.knitprovider.am.Log;
import io.knitprovider.am.Warmup;
import io.knitprovider.am.cluster.ClusterConf;
import io.knitprovider.am.cluster.ConfFolder;
import io.knitprovider.am.control.ControlSecrets;
import io.knitprovider.am.store.Staging;
import io.knitprovider.common.Json;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Scanner;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.yarn.api.records.ApplicationAttemptId;
import org.apache.hadoop.yarn.api.records.ApplicationId;
import org.apache.hadoop.yarn.api.records.ContainerId;
import org.json.JSONObject;

/**
 * One whole application without a cluster, for the JVM to write down which classes an
 * ApplicationMaster loads ({@code -XX:ArchiveClassesAtExit}). Run in an empty folder beside the
 * class path's jars and the application's document; its secrets come over standard input.
 */
public final class Rehearsal {

  private static final String CONF = "conf";
  private static final int PATIENCE_S = 20;

  private Rehearsal() {}

  /**
   * The whole application.
   *
   * @param args id of the application in the document: the timestamp and the number
   */
  public static void main(String[] args) {
    int code = 1;
    try {
      code = run(Long.parseLong(args[0]), Integer.parseInt(args[1]));
    } catch (Exception e) {
      Log.error("the rehearsal failed", e);
    }
    // With all that belongs to an end: the archive is written on the way out.
    System.exit(code);
  }

  private static int run(long timestamp, int number) throws Exception {
    ConfFolder.use(CONF);
    ApplicationAttemptId attempt =
        ApplicationAttemptId.newInstance(ApplicationId.newInstance(timestamp, number), 1);
    StubCluster cluster = new StubCluster(attempt, new Configuration());
    configure(cluster.masterAddress());
    Map<String, byte[]> secrets = readSecrets(System.in);
    login(cluster, secrets);
    Thread client =
        new Thread(
            () -> {
              callControl(cluster, new String(secrets.get(ControlSecrets.CONTROL), UTF_8));
              cluster.letContainerEnd();
            },
            "rehearsal-client");
    client.setDaemon(true);
    client.start();
    touchHdfs();
    Map<String, String> environment = new HashMap<>();
    environment.put("CONTAINER_ID", ContainerId.newContainerId(attempt, 1).toString());
    environment.put("NM_HOST", "127.0.0.1");
    int code = ApplicationMasterMain.run(environment);
    cluster.stop();
    return code;
  }

  private static final java.nio.charset.Charset UTF_8 = StandardCharsets.UTF_8;

  private static void configure(String masterAddress) throws IOException {
    Configuration site = new Configuration(false);
    site.set("yarn.resourcemanager.scheduler.address", masterAddress);
    File folder = new File(CONF);
    if (!folder.isDirectory() && !folder.mkdir()) {
      throw new IOException(folder.getAbsolutePath() + " cannot be made");
    }
    for (String name : new String[] {"core-site.xml", "yarn-site.xml", "hdfs-site.xml"}) {
      try (OutputStream out = new FileOutputStream(new File(folder, name))) {
        site.writeXml(out);
      }
    }
  }

  private static Map<String, byte[]> readSecrets(InputStream in) {
    JSONObject json;
    try (Scanner scanner = new Scanner(in, "UTF-8").useDelimiter("\\A")) {
      json = Json.parse(scanner.next(), "standard input");
    }
    Map<String, byte[]> secrets = new HashMap<>();
    for (Map.Entry<String, String> secret : Json.stringMap(json, "secrets").entrySet()) {
      secrets.put(secret.getKey(), Base64.getDecoder().decode(secret.getValue()));
    }
    return secrets;
  }

  /** Takes the secrets and the token out of a file, as the NodeManager hands them over. */
  private static void login(StubCluster cluster, Map<String, byte[]> secrets) throws IOException {
    Configuration conf = new Configuration();
    Credentials credentials = new Credentials();
    secrets.forEach((alias, secret) -> credentials.addSecretKey(new Text(alias), secret));
    credentials.addToken(new Text("rehearsal"), cluster.masterToken());
    File file = new File("tokens");
    credentials.writeTokenStorageFile(new org.apache.hadoop.fs.Path(file.toURI()), conf);
    UserGroupInformation.getCurrentUser()
        .addCredentials(Credentials.readTokenStorageFile(file, conf));
    if (!file.delete()) {
      throw new IOException(file + " cannot be removed");
    }
  }

  /** Nobody answers; what takes a NameNode and a DataNode to load is loaded by name. */
  private static void touchHdfs() throws IOException {
    int closed;
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      closed = socket.getLocalPort();
    }
    Map<String, String> settings = new HashMap<>();
    settings.put("ipc.client.connect.max.retries", "0");
    Configuration conf = ClusterConf.forFiles(settings);
    try {
      Staging.open("hdfs://127.0.0.1:" + closed + "/rehearsal", conf).modified("nothing");
    } catch (IOException e) {
      Log.debug("no HDFS, as expected: " + Log.describe(e));
    }
    Warmup.names().forEach(Warmup::load);
  }

  private static void callControl(StubCluster cluster, String secret) {
    try {
      int port = cluster.controlPort.get(PATIENCE_S, TimeUnit.SECONDS);
      for (String path : new String[] {"/v1/status", "/v1/containers"}) {
        HttpsURLConnection connection =
            (HttpsURLConnection) new URL("https://127.0.0.1:" + port + path).openConnection();
        connection.setSSLSocketFactory(trustingAll().getSocketFactory());
        connection.setHostnameVerifier((host, session) -> true);
        connection.setConnectTimeout(PATIENCE_S * 1000);
        connection.setReadTimeout(PATIENCE_S * 1000);
        connection.setRequestProperty("Authorization", "Bearer " + secret);
        Log.debug(path + " answered " + connection.getResponseCode());
      }
    } catch (Exception e) {
      Log.warn("the rehearsal's control channel did not answer", e);
    }
  }

  /** For talking to ourselves over loopback. */
  private static SSLContext trustingAll() throws GeneralSecurityException {
    X509TrustManager all =
        new X509TrustManager() {
          @Override
          public void checkClientTrusted(X509Certificate[] chain, String type) {}

          @Override
          public void checkServerTrusted(X509Certificate[] chain, String type) {}

          @Override
          public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
          }
        };
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, new TrustManager[] {all}, new SecureRandom());
    return context;
  }
}
