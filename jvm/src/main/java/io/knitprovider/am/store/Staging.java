package io.knitprovider.am.store;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * The application's own folder on the cluster's filesystem, and the few ways in which we write
 * there. A {@link FileContext}, because only it can rename without overwriting in one step.
 */
public final class Staging {

  /** Nobody but the application's user has any business here. */
  private static final FsPermission PRIVATE_FILE = new FsPermission((short) 0600);

  private static final FsPermission PRIVATE_DIRECTORY = new FsPermission((short) 0700);

  private final FileContext files;
  private final Path directory;

  private Staging(FileContext files, Path directory) {
    this.files = files;
    this.directory = directory;
  }

  /** Opens the filesystem on which this folder lies; the first call that needs the NameNode. */
  public static Staging open(String directory, Configuration conf) throws IOException {
    Path path = new Path(directory);
    URI uri = path.toUri();
    FileContext files =
        uri.getScheme() == null
            ? FileContext.getFileContext(conf)
            : FileContext.getFileContext(uri, conf);
    return new Staging(files, path);
  }

  Path path(String name) {
    return new Path(directory, name);
  }

  /** Writes a file whole, in place of one that may be there. */
  public void replace(Path target, String text) throws IOException {
    Path finished = writeAside(text);
    files.rename(finished, target, Options.Rename.OVERWRITE);
  }

  /** Writes one of the folder's files whole, in place of one that may be there. */
  public void replace(String name, String text) throws IOException {
    replace(path(name), text);
  }

  /** As with text. Nobody but the user can read it. */
  public void replace(String name, byte[] content) throws IOException {
    files.rename(writeAside(content), path(name), Options.Rename.OVERWRITE);
  }

  /**
   * Writes a file whole, unless there is one.
   *
   * @return false when there already is one, which is left untouched
   */
  boolean createOnce(Path target, String text) throws IOException {
    Path finished = writeAside(text);
    try {
      renameOnce(finished, target);
      return true;
    } catch (FileAlreadyExistsException e) {
      files.delete(finished, false);
      return false;
    }
  }

  private void renameOnce(Path from, Path to) throws IOException {
    try {
      files.rename(from, to, Options.Rename.NONE);
    } catch (FileNotFoundException e) {
      files.mkdir(to.getParent(), PRIVATE_DIRECTORY, true);
      files.rename(from, to, Options.Rename.NONE);
    }
  }

  private Path writeAside(String text) throws IOException {
    return writeAside(text.getBytes(StandardCharsets.UTF_8));
  }

  private Path writeAside(byte[] content) throws IOException {
    Path aside = path(".knit-" + UUID.randomUUID());
    try (FSDataOutputStream out = create(aside)) {
      out.write(content);
    }
    return aside;
  }

  FSDataOutputStream create(Path path) throws IOException {
    return files.create(
        path, EnumSet.of(CreateFlag.CREATE), Options.CreateOpts.perms(PRIVATE_FILE));
  }

  /** As {@link #create}, in place of a file that may be there. */
  FSDataOutputStream createAnew(Path path) throws IOException {
    return files.create(
        path,
        EnumSet.of(CreateFlag.CREATE, CreateFlag.OVERWRITE),
        Options.CreateOpts.perms(PRIVATE_FILE));
  }

  /** The file's text, or null where there is none. It may still be open for writing elsewhere. */
  String read(Path path) throws IOException {
    try (InputStream in = files.open(path)) {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      byte[] buffer = new byte[8192];
      for (int length = in.read(buffer); length >= 0; length = in.read(buffer)) {
        bytes.write(buffer, 0, length);
      }
      return new String(bytes.toByteArray(), StandardCharsets.UTF_8);
    } catch (FileNotFoundException e) {
      return null;
    }
  }

  /** The file's lines, from a stream to be closed. It may still be open for writing elsewhere. */
  BufferedReader lines(Path path) throws IOException {
    return new BufferedReader(new InputStreamReader(files.open(path), StandardCharsets.UTF_8));
  }

  /** Names of the folder's files that begin so. */
  List<String> names(String prefix) throws IOException {
    List<String> names = new ArrayList<>();
    RemoteIterator<FileStatus> each = files.listStatus(directory);
    while (each.hasNext()) {
      String name = each.next().getPath().getName();
      if (name.startsWith(prefix)) {
        names.add(name);
      }
    }
    return names;
  }

  /**
   * When the file was last changed or touched, by the filesystem's clock; 0 where there is none.
   */
  public long modified(String name) throws IOException {
    try {
      return files.getFileStatus(path(name)).getModificationTime();
    } catch (FileNotFoundException e) {
      return 0;
    }
  }

  /** Removes the folder with all that is in it. */
  public void delete() throws IOException {
    try {
      files.delete(directory, true);
    } catch (FileNotFoundException e) {
      return; // somebody else was faster, which is as good
    }
  }
}
