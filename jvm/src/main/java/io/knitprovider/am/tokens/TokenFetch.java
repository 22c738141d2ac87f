package io.knitprovider.am.tokens;

import io.knitprovider.am.cluster.ClusterConf;
import io.knitprovider.am.cluster.ContainerCredentials;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Collections;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * Runs in a container for a moment: puts the newest tokens in place of those in its token file, and
 * prints in how many seconds there will be newer ones.
 */
public final class TokenFetch {

  private static final int MOST_BYTES = 16 * 1024 * 1024;

  private TokenFetch() {}

  /**
   * @param args the file that the ApplicationMaster keeps, and the container's own
   */
  public static void main(String[] args) {
    PrintStream out = System.out;
    try {
      Configuration conf = ClusterConf.forFiles(Collections.emptyMap());
      conf.set("hadoop.security.authentication", "kerberos");
      UserGroupInformation.setConfiguration(conf);
      byte[] content = read(new org.apache.hadoop.fs.Path(args[0]), conf);
      Credentials credentials = new Credentials();
      credentials.readTokenStorageStream(new DataInputStream(new ByteArrayInputStream(content)));
      replace(Paths.get(args[1]), content);
      out.println(ContainerCredentials.secondsToNext(credentials, System.currentTimeMillis()));
      out.flush();
      Runtime.getRuntime().halt(0);
    } catch (IOException | RuntimeException e) {
      System.err.println("knit-provider: no new tokens could be fetched: " + e);
      System.err.flush();
      Runtime.getRuntime().halt(1);
    }
  }

  private static byte[] read(org.apache.hadoop.fs.Path path, Configuration conf)
      throws IOException {
    try (InputStream in = FileContext.getFileContext(path.toUri(), conf).open(path)) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      byte[] buffer = new byte[8192];
      for (int length = in.read(buffer); length >= 0; length = in.read(buffer)) {
        bytes.write(buffer, 0, length);
        if (bytes.size() > MOST_BYTES) {
          throw new IOException(path + " is too large for a file of tokens");
        }
      }
      return bytes.toByteArray();
    }
  }

  /** Whoever reads the file meanwhile sees the old tokens or the new ones. */
  private static void replace(Path target, byte[] content) throws IOException {
    Path aside =
        Files.createTempFile(
            target.toAbsolutePath().getParent(),
            ".knit-tokens",
            null,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    try {
      Files.write(aside, content);
      Files.move(aside, target, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(aside);
    }
  }
}
