package io.knitprovider.am;

/** Where the launcher enters. */
public final class ApplicationMasterMain {

  private ApplicationMasterMain() {}

  public static void main(String[] args) {
    try {
      ApplicationMaster master = new ApplicationMaster(AmEnvironment.read(System.getenv()));
      Thread.setDefaultUncaughtExceptionHandler((thread, error) -> master.crashed(error));
      exit(master.run());
    } catch (Throwable error) {
      Log.error("the ApplicationMaster cannot go on", error);
      explain(error);
      exit(1);
    }
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
