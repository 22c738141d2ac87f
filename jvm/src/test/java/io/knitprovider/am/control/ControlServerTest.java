package io.knitprovider.am.control;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The port itself, over real TLS. */
class ControlServerTest {

  @TempDir static Path folder;

  private static final Map<String, byte[]> CREDENTIALS = new HashMap<>();

  private final RecordingActions actions = new RecordingActions();
  private ControlServer server;
  private byte[] presented;

  @BeforeAll
  static void makeKey() throws Exception {
    Path store = folder.resolve("keys.p12");
    Process keytool =
        new ProcessBuilder(
                Paths.get(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "k",
                "-keyalg",
                "EC",
                "-dname",
                "CN=knit",
                "-validity",
                "1",
                "-storetype",
                "PKCS12",
                "-storepass",
                "password",
                "-keystore",
                store.toString())
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("keytool.txt").toFile())
            .start();
    assertEquals(0, keytool.waitFor());
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(store)) {
      keys.load(in, "password".toCharArray());
    }
    CREDENTIALS.put(ControlSecrets.KEY, keys.getKey("k", "password".toCharArray()).getEncoded());
    CREDENTIALS.put(ControlSecrets.CERTIFICATE, keys.getCertificate("k").getEncoded());
    CREDENTIALS.put(ControlSecrets.CONTROL, "owner-secret".getBytes(StandardCharsets.UTF_8));
    CREDENTIALS.put(ControlSecrets.WORKER, "worker-secret".getBytes(StandardCharsets.UTF_8));
  }

  @BeforeEach
  void start() throws Exception {
    server = ControlServer.bind("127.0.0.1", 0, 0);
    server.start(ControlSecrets.from(CREDENTIALS::get), actions);
  }

  @AfterEach
  void stop() {
    server.stop();
  }

  private int request(String method, String path, String secret, byte[] body) throws Exception {
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(null, new TrustManager[] {new Noting()}, null);
    HttpsURLConnection connection =
        (HttpsURLConnection) new URL("https://127.0.0.1:" + server.port() + path).openConnection();
    connection.setSSLSocketFactory(tls.getSocketFactory());
    connection.setHostnameVerifier((host, session) -> true);
    connection.setReadTimeout(20_000);
    connection.setRequestMethod(method);
    if (secret != null) {
      connection.setRequestProperty("Authorization", secret);
    }
    if (body != null) {
      connection.setDoOutput(true);
      connection.setFixedLengthStreamingMode(body.length);
      try (OutputStream out = connection.getOutputStream()) {
        out.write(body);
      }
    }
    return connection.getResponseCode();
  }

  private final class Noting implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {
      try {
        presented = chain[0].getEncoded();
      } catch (java.security.cert.CertificateEncodingException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }

  @Test
  void theApplicationsOwnCertificateIsPresented() throws Exception {
    assertEquals(200, request("GET", "/v1/status", "Bearer owner-secret", null));
    assertArrayEquals(CREDENTIALS.get(ControlSecrets.CERTIFICATE), presented);
  }

  @Test
  void onlyTheRightSecretIsLetIn() throws Exception {
    assertEquals(401, request("GET", "/v1/status", null, null));
    assertEquals(401, request("GET", "/v1/status", "Bearer ", null));
    assertEquals(401, request("GET", "/v1/status", "Bearer owner-secre", null));
    assertEquals(401, request("GET", "/v1/status", "Bearer owner-secret2", null));
    assertEquals(401, request("GET", "/v1/status", "Basic owner-secret", null));
    assertEquals(401, request("POST", "/v1/shutdown", "Bearer worker-secret", new byte[0]));
    assertEquals(200, request("GET", "/v1/status", "Bearer worker-secret", null));
    assertTrue(actions.calls.isEmpty());
  }

  @Test
  void whoWaitsForAChangeHoldsUpNobodyElse() throws Exception {
    ExecutorService callers = Executors.newCachedThreadPool();
    try {
      byte[] watch = "{\"key\":\"k\",\"timeout_s\":20}".getBytes(StandardCharsets.UTF_8);
      List<Future<Integer>> waiting = new ArrayList<>();
      for (int i = 0; i < 40; i++) {
        waiting.add(
            callers.submit(() -> request("POST", "/v1/kv/watch", "Bearer worker-secret", watch)));
      }
      assertEquals(200, request("GET", "/v1/status", "Bearer owner-secret", null));
      actions.values.set("k", "x", null);
      for (Future<Integer> each : waiting) {
        assertEquals(200, each.get(20, TimeUnit.SECONDS));
      }
    } finally {
      callers.shutdownNow();
    }
  }

  @Test
  void aBodyHasItsLimit() throws Exception {
    byte[] large = new byte[(1 << 20) + 1];
    java.util.Arrays.fill(large, (byte) ' ');
    assertEquals(413, request("POST", "/v1/lease", "Bearer owner-secret", large));
    assertTrue(actions.calls.isEmpty());
  }

  @Test
  void whoSpeaksNoTlsGetsNothing() throws Exception {
    try (Socket socket = new Socket("127.0.0.1", server.port())) {
      socket.setSoTimeout(20_000);
      socket
          .getOutputStream()
          .write("GET /v1/status HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
      StringBuilder answer = new StringBuilder();
      try {
        for (int c = socket.getInputStream().read(); c >= 0; c = socket.getInputStream().read()) {
          answer.append((char) c);
        }
      } catch (IOException e) {
        answer.append(""); // reset: nothing it is
      }
      assertTrue(!answer.toString().contains("RUNNING"), answer.toString());
    }
  }

  @Test
  void theNextFreePortOfTheRangeIsTaken() throws Exception {
    int taken = server.port();
    int high = Math.min(65_535, taken + 20);
    ControlServer other = ControlServer.bind("127.0.0.1", taken, high);
    assertNotEquals(taken, other.port());
    assertTrue(other.port() <= high);
    other.stop();
  }

  @Test
  void aRangeWithoutAFreePortIsSaid() {
    int taken = server.port();
    IOException error =
        assertThrows(IOException.class, () -> ControlServer.bind("127.0.0.1", taken, taken));
    assertEquals(
        "no port of am_port_range " + taken + "-" + taken + " is free on 127.0.0.1",
        error.getMessage());
  }

  @Test
  void theNodesOwnAddressIsListenedOn() throws Exception {
    ControlServer local = ControlServer.bind(InetAddress.getLoopbackAddress().getHostName(), 0, 0);
    assertTrue(local.port() > 0);
    local.stop();
  }

  @Test
  void withoutSecretsThereIsNoChannel() {
    Map<String, byte[]> some = new HashMap<>(CREDENTIALS);
    some.remove(ControlSecrets.KEY);
    assertNull(ControlSecrets.from(some::get));
    some = new HashMap<>(CREDENTIALS);
    some.put(ControlSecrets.CONTROL, new byte[0]);
    assertNull(ControlSecrets.from(some::get));
  }

  @Test
  void withoutAWorkerSecretNobodyIsAWorker() {
    Map<String, byte[]> some = new HashMap<>(CREDENTIALS);
    some.remove(ControlSecrets.WORKER);
    ControlSecrets secrets = ControlSecrets.from(some::get);
    assertEquals(ControlSecrets.Role.STRANGER, secrets.role(new byte[0]));
    assertEquals(
        ControlSecrets.Role.OWNER, secrets.role("owner-secret".getBytes(StandardCharsets.UTF_8)));
  }
}
