package io.knitprovider.gateway;

import io.knitprovider.common.Errors;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.hadoop.util.VersionInfo;
import org.json.JSONObject;
import py4j.GatewayServer;

/**
 * The client side of the JVM: Hadoop's own classes, spoken to from one Python process.
 *
 * <p>It listens on loopback only, on a port that the system picks, and wants a token on every
 * connection. The token comes in on standard input, where no other process can see it; the port
 * goes back on standard output. It ends when standard input does, or when the parent is gone.
 */
public final class GatewayMain {

  private GatewayMain() {}

  public static void main(String[] args) throws IOException {
    PrintStream handshakeOut =
        new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8");
    // Before anything else can print: whatever a library says on System.out must not be taken for
    // the handshake.
    System.setOut(System.err);
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try {
      Handshake handshake = Handshake.parse(in.readLine());
      Lifeline.watchParent(handshake.parentPid);
      quietLogging(handshake.logLevel);
      handshakeOut.println(start(handshake));
    } catch (Exception e) {
      handshakeOut.println(new JSONObject().put("error", Errors.message(e)));
      System.exit(1);
    }
    Lifeline.untilEndOfInput(in);
  }

  private static JSONObject start(Handshake handshake) {
    HadoopClient.Lazy client = new HadoopClient.Lazy(handshake);
    // Loading Hadoop's classes takes longer than everything else here; it goes on while Python
    // reads our answer.
    client.warmUp();
    GatewayServer server =
        new GatewayServer.GatewayServerBuilder()
            .entryPoint(new EntryPoint(client))
            .javaAddress(InetAddress.getLoopbackAddress())
            .javaPort(0)
            .authToken(handshake.token)
            .build();
    server.start();
    return new JSONObject()
        .put("port", server.getListeningPort())
        .put("version", version())
        .put("hadoop", VersionInfo.getVersion())
        .put("java", System.getProperty("java.version"));
  }

  static String version() {
    String version = GatewayMain.class.getPackage().getImplementationVersion();
    return version == null ? "unpackaged" : version;
  }

  /** Has to run before the first of Hadoop's classes makes a logger. */
  private static void quietLogging(String level) {
    System.setProperty("knit.log.level", level);
    if (System.getProperty("log4j.configuration") == null) {
      System.setProperty("log4j.configuration", "knit-gateway-log4j.properties");
    }
    Logger.getLogger("").setLevel(Level.WARNING);
  }
}
