package io.knitprovider.am;

/**
 * Loads HDFS's larger classes while we wait for the ResourceManager. It opens nothing: it only
 * makes the opening quicker, which the first launch has to wait for.
 */
final class Warmup {

  /** Those whose initialization drags in most of the others. Missing ones are no matter. */
  private static final String[] CLASSES = {
    "org.apache.hadoop.fs.FileContext",
    "org.apache.hadoop.fs.Hdfs",
    "org.apache.hadoop.hdfs.DFSClient",
    "org.apache.hadoop.hdfs.protocol.proto.ClientNamenodeProtocolProtos",
    "org.apache.hadoop.hdfs.protocolPB.ClientNamenodeProtocolTranslatorPB",
    "org.apache.hadoop.hdfs.DFSOutputStream",
    "org.apache.hadoop.hdfs.DataStreamer",
    "org.apache.hadoop.hdfs.protocol.proto.DataTransferProtos",
  };

  private Warmup() {}

  static void start(String stagingDir) {
    if (!stagingDir.startsWith("hdfs:")) {
      return;
    }
    Thread thread = new Thread(Warmup::load, "warm-up");
    thread.setDaemon(true);
    thread.start();
  }

  private static void load() {
    for (String name : CLASSES) {
      try {
        Class.forName(name);
      } catch (ClassNotFoundException | LinkageError e) {
        Log.debug("warm-up without " + name);
      }
    }
  }
}
