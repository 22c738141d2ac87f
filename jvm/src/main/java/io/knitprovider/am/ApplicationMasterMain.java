package io.knitprovider.am;

import io.knitprovider.am.cluster.ConfFolder;
import java.io.IOException;
import java.util.Map;
import org.apache.hadoop.yarn.exceptions.YarnException;

/** Where the launcher enters. */
public final class ApplicationMasterMain {

  private ApplicationMasterMain() {}

  public static void main(String[] args) {
    try {
      ConfFolder.use(System.getProperty("knit.conf.dir"));
      exit(run(System.getenv()));
    } catch (Throwable error) {
      Log.error("the ApplicationMaster cannot go on", error);
      explain(error);
      exit(1);
    }
  }

  /**
   * Runs an attempt to its end.
   *
   * @param environment the process's
   * @return the exit code
   */
  public static int run(Map<String, String> environment)
      throws IOException, YarnException, InterruptedException {
    ApplicationMaster master = new ApplicationMaster(AmEnvironment.read(environment));
    Thread.setDefaultUncaughtExceptionHandler((thread, error) -> master.crashed(error));
    return master.run();
  }

  /** Hadoop before 3.4 calls what Java 24 has removed; its own words for it help nobody. */
  private static void explain(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (String.valueOf(cause.getMessage()).contains("getSubject is not supported")) {
        Log.warn(
            "this Hadoop cannot run on Java "
                + System.getProperty("java.version")
                + ": give the nodes a JAVA_HOME of Java 8, 11 or 17");
        return;
      }
    }
  }

  /**
   * Without the shutdown hooks: they would close filesystems that may hang, and all that is ours
   * has been closed.
   */
  private static void exit(int code) {
    System.err.flush();
    Runtime.getRuntime().halt(code);
  }
}
