package io.knitprovider.am.cluster;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;

/**
 * Lets Hadoop find the node's {@code *-site.xml} files where their folder is not on the class path:
 * a JVM that uses a class archive allows no folders there. Hadoop asks the context class loader of
 * the thread for its files, and threads take theirs over from whoever starts them.
 */
public final class ConfFolder extends ClassLoader {

  private static final String SITE = "-site.xml";

  private final File folder;

  private ConfFolder(File folder, ClassLoader parent) {
    super(parent);
    this.folder = folder;
  }

  /** To be called before anything of Hadoop is; null or an empty name change nothing. */
  public static void use(String folder) {
    if (folder != null && !folder.isEmpty()) {
      Thread.currentThread()
          .setContextClassLoader(
              new ConfFolder(new File(folder), ConfFolder.class.getClassLoader()));
    }
  }

  /** The folder comes first, as it does where it is the first of the class path. */
  @Override
  public URL getResource(String name) {
    File file = new File(folder, name);
    if (file.isFile()) {
      try {
        return file.toURI().toURL();
      } catch (MalformedURLException e) {
        throw new IllegalStateException(file + " has no URL", e);
      }
    }
    // No jar has site files, and looking through all of them takes time.
    return name.endsWith(SITE) ? null : super.getResource(name);
  }
}
