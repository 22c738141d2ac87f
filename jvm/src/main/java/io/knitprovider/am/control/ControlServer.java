package io.knitprovider.am.control;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import io.knitprovider.am.Log;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import org.json.JSONObject;

/**
 * The only port that the ApplicationMaster opens: HTTPS with the application's own certificate, and
 * nothing is answered without one of its two secrets. Bound early, so that YARN can be told the
 * port at registration; it answers only once it has been started.
 */
public final class ControlServer {

  private static final int BACKLOG = 64;
  private static final int MOST_BODY = 1 << 20;

  /** Many, as one that talks slowly holds its thread until it is cut off; they end when unused. */
  private static final int THREADS = 32;

  private static final String BEARER = "Bearer ";

  private final HttpsServer server;
  private ThreadPoolExecutor pool;
  private boolean stopped;

  private ControlServer(HttpsServer server) {
    this.server = server;
  }

  /**
   * Takes a port.
   *
   * @param host the node's name as its NodeManager gives it
   * @param low lowest port, 0 for any
   * @param high highest port
   */
  public static ControlServer bind(String host, int low, int high) throws IOException {
    limit();
    InetAddress address = InetAddress.getByName(host);
    BindException last = null;
    for (int port = low; port <= high; port++) {
      try {
        return new ControlServer(HttpsServer.create(new InetSocketAddress(address, port), BACKLOG));
      } catch (BindException e) {
        last = e;
        if (!address.isAnyLocalAddress() && NetworkInterface.getByInetAddress(address) == null) {
          // As behind a NAT: the node's name leads to an address that is not this machine's.
          Log.warn(host + " is no address of this machine: listening on all of its addresses");
          return bind("0.0.0.0", low, high);
        }
      }
    }
    throw new IOException(
        "no port of am_port_range " + low + "-" + high + " is free on " + host, last);
  }

  /** The JDK's server reads these once, when its classes are loaded. Times are in seconds. */
  private static void limit() {
    setDefault("sun.net.httpserver.maxReqTime", "5");
    setDefault("sun.net.httpserver.maxRspTime", "30");
    setDefault("sun.net.httpserver.idleInterval", "30");
    setDefault("sun.net.httpserver.maxIdleConnections", "32");
    setDefault("sun.net.httpserver.maxReqHeaders", "50");
    setDefault("sun.net.httpserver.nodelay", "true");
    setDefault("jdk.httpserver.maxConnections", "128");
  }

  private static void setDefault(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  public int port() {
    return server.getAddress().getPort();
  }

  /** Begins to answer, unless it has been stopped already. */
  public synchronized void start(ControlSecrets secrets, ControlActions actions)
      throws GeneralSecurityException, IOException {
    if (stopped) {
      return;
    }
    SSLContext tls = secrets.tls();
    String[] protocols = protocols(tls);
    server.setHttpsConfigurator(
        new HttpsConfigurator(tls) {
          @Override
          public void configure(HttpsParameters parameters) {
            SSLParameters ours = getSSLContext().getDefaultSSLParameters();
            ours.setProtocols(protocols);
            parameters.setSSLParameters(ours);
          }
        });
    pool =
        new ThreadPoolExecutor(
            THREADS,
            THREADS,
            30,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            work -> {
              Thread thread = new Thread(work, "control");
              thread.setDaemon(true);
              return thread;
            });
    pool.allowCoreThreadTimeOut(true);
    server.setExecutor(pool);
    ControlApi api = new ControlApi(actions);
    server.createContext("/", exchange -> handle(exchange, secrets, api, pool));
    server.start();
  }

  private static String[] protocols(SSLContext tls) {
    List<String> supported = Arrays.asList(tls.getSupportedSSLParameters().getProtocols());
    List<String> ours = new ArrayList<>(Arrays.asList("TLSv1.3", "TLSv1.2"));
    ours.retainAll(supported);
    return ours.toArray(new String[0]);
  }

  /** Closes the port after the answers that are under way. */
  public synchronized void stop() {
    stopped = true;
    server.stop(0);
    if (pool != null) {
      pool.shutdown();
    }
  }

  private static void handle(
      HttpExchange exchange, ControlSecrets secrets, ControlApi api, Executor executor)
      throws IOException {
    ControlReply reply = null;
    try {
      reply = reply(exchange, secrets, api);
      if (reply.later == null) {
        send(exchange, reply);
      }
    } catch (RuntimeException e) {
      Log.error("the control channel failed", e);
      reply = null;
    } finally {
      if (reply == null || reply.later == null) {
        exchange.close();
      }
    }
    if (reply != null && reply.later != null) {
      reply.later.whenCompleteAsync((body, error) -> sendLater(exchange, body), executor);
    }
  }

  /** Whoever has waited may be gone by now, which is nobody's trouble but its own. */
  private static void sendLater(HttpExchange exchange, JSONObject body) {
    try {
      send(exchange, ControlReply.ok(body));
    } catch (IOException | RuntimeException e) {
      Log.debug("somebody did not wait for an answer: " + Log.describe(e));
    } finally {
      exchange.close();
    }
  }

  private static ControlReply reply(HttpExchange exchange, ControlSecrets secrets, ControlApi api)
      throws IOException {
    ControlSecrets.Role role = secrets.role(shown(exchange.getRequestHeaders()));
    if (role == ControlSecrets.Role.STRANGER) {
      exchange.getResponseHeaders().set("Connection", "close");
      return ControlReply.unauthorized();
    }
    String body = body(exchange.getRequestBody());
    if (body == null) {
      exchange.getResponseHeaders().set("Connection", "close");
      return ControlReply.error(
          413, "TooLarge", "a request's body may have " + MOST_BODY + " bytes");
    }
    return api.answer(role, exchange.getRequestMethod(), exchange.getRequestURI().getPath(), body);
  }

  private static byte[] shown(Headers headers) {
    String authorization = headers.getFirst("Authorization");
    if (authorization == null || !authorization.startsWith(BEARER)) {
      return new byte[0];
    }
    return authorization.substring(BEARER.length()).trim().getBytes(StandardCharsets.UTF_8);
  }

  /** The request's body, or null where it is larger than anybody needs. */
  private static String body(InputStream in) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    byte[] buffer = new byte[8192];
    for (int length = in.read(buffer); length >= 0; length = in.read(buffer)) {
      bytes.write(buffer, 0, length);
      if (bytes.size() > MOST_BODY) {
        return null;
      }
    }
    return new String(bytes.toByteArray(), StandardCharsets.UTF_8);
  }

  private static void send(HttpExchange exchange, ControlReply reply) throws IOException {
    byte[] bytes = reply.body.toString().getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(reply.status, bytes.length);
    exchange.getResponseBody().write(bytes);
  }
}
