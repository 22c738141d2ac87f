package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Paths;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.UUID;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.json.JSONObject;

/**
 * Uploads one local file so that its target is whole or absent at every moment.
 *
 * <p>The bytes go to a temporary name, are digested on the way and compared with what the local
 * file claims to be before and after, and only then get their name, in one step that never
 * overwrites.
 */
final class Upload {

  private static final FsPermission PRIVATE_FOLDER = new FsPermission((short) 0700);

  private final Call call;
  private final java.nio.file.Path local;
  private final Path target;
  private final FileSystem filesystem;
  private final FsPermission mode;
  private final String expected;

  private Upload(Call call) throws IOException {
    this.call = call;
    this.local = Paths.get(call.string("local"));
    this.target = FileSystems.path(call, "path");
    this.filesystem = call.hadoop.filesystem(target);
    this.mode = FileSystems.mode(call.args, "mode", "600");
    this.expected = Json.string(call.args, "expected_sha256", null);
  }

  static Object run(Call call) throws Exception {
    return new Upload(call).run();
  }

  private JSONObject run() throws IOException {
    BasicFileAttributes before = attributes();
    boolean overwrite = Json.bool(call.args, "overwrite", false);
    FileStatus existing = statusOrNull();
    if (existing != null && !overwrite) {
      return sameAs(existing, before);
    }
    FileSystems.makeFolder(filesystem, target.getParent(), PRIVATE_FOLDER);
    Path temporary = new Path(temporaryFolder(), ".tmp-" + UUID.randomUUID());
    try {
      String digest = copy(temporary, before);
      FileStatus uploaded = FileContents.withMode(filesystem, temporary, mode);
      checkUnchanged(before, uploaded.getLen(), digest);
      if (existing != null) {
        filesystem.delete(target, false);
      }
      FileSystems.renameWithoutOverwrite(call.hadoop, temporary, target);
    } catch (FileAlreadyExistsException e) {
      // Somebody else was faster. Equal content is as good as ours.
      return sameAs(filesystem.getFileStatus(target), before);
    } finally {
      discard(temporary);
    }
    return FileSystems.describe(filesystem.getFileStatus(target));
  }

  /**
   * Beside a folder that is named after the digest, so that this folder never holds anything but
   * its one file.
   */
  private Path temporaryFolder() {
    Path parent = target.getParent();
    return expected != null && parent.getName().equals(expected) ? parent.getParent() : parent;
  }

  private BasicFileAttributes attributes() throws IOException {
    BasicFileAttributes attributes;
    try {
      attributes = Files.readAttributes(local, BasicFileAttributes.class);
    } catch (NoSuchFileException e) {
      throw new InvalidInput("the local file " + local + " does not exist", e);
    } catch (AccessDeniedException e) {
      throw new InvalidInput("the local file " + local + " cannot be read: permission denied", e);
    }
    if (!attributes.isRegularFile()) {
      throw new InvalidInput(
          local + " is not a file" + (attributes.isDirectory() ? " but a folder" : ""));
    }
    return attributes;
  }

  private FileStatus statusOrNull() throws IOException {
    try {
      return filesystem.getFileStatus(target);
    } catch (FileNotFoundException e) {
      return null;
    }
  }

  /** Returns the digest of what was read. */
  private String copy(Path temporary, BasicFileAttributes before) throws IOException {
    Long replication =
        Json.has(call.args, "replication") ? Json.integer(call.args, "replication") : null;
    Short copies =
        replication == null ? null : (short) Math.max(1, Math.min(replication, Short.MAX_VALUE));
    try (InputStream in = openLocal();
        OutputStream out = FileContents.create(filesystem, temporary, mode, false, copies)) {
      // A file that grows while it is read would otherwise be followed for as long as it grows.
      return digest(in, out, before.size() + 1);
    }
  }

  private InputStream openLocal() throws IOException {
    try {
      return Files.newInputStream(local);
    } catch (NoSuchFileException e) {
      throw new InvalidInput("the local file " + local + " does not exist", e);
    } catch (AccessDeniedException e) {
      throw new InvalidInput("the local file " + local + " cannot be read: permission denied", e);
    }
  }

  private void checkUnchanged(BasicFileAttributes before, long uploaded, String digest)
      throws IOException {
    BasicFileAttributes after = attributes();
    boolean same =
        uploaded == before.size()
            && after.size() == before.size()
            && after.lastModifiedTime().equals(before.lastModifiedTime())
            && String.valueOf(after.fileKey()).equals(String.valueOf(before.fileKey()))
            && (expected == null || expected.equalsIgnoreCase(digest));
    if (!same) {
      throw new InvalidInput(
          "the local file "
              + local
              + " changed while it was uploaded; nothing was published. Try again once nothing writes to it");
    }
  }

  /** The target is there: fine if it holds the same. */
  private JSONObject sameAs(FileStatus existing, BasicFileAttributes before) throws IOException {
    if (existing.isDirectory() || existing.getLen() != before.size() || !sameContent()) {
      throw new FileAlreadyExistsException(
          target + " exists already, with other content than " + local);
    }
    return FileSystems.describe(existing);
  }

  private boolean sameContent() throws IOException {
    if (expected != null
        && target.getParent() != null
        && target.getParent().getName().equals(expected)) {
      // It was verified before it got this name, and nothing of ours writes to it afterwards.
      return true;
    }
    try (InputStream mine = openLocal();
        InputStream theirs = filesystem.open(target)) {
      return digest(mine, null, Long.MAX_VALUE).equals(digest(theirs, null, Long.MAX_VALUE));
    }
  }

  private String digest(InputStream in, OutputStream out, long limit) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
    byte[] buffer = new byte[FileContents.BUFFER];
    long left = limit;
    for (int n;
        left > 0 && (n = in.read(buffer, 0, (int) Math.min(buffer.length, left))) >= 0;
        left -= n) {
      digest.update(buffer, 0, n);
      if (out != null) {
        out.write(buffer, 0, n);
      }
      call.advance();
    }
    StringBuilder hex = new StringBuilder();
    for (byte value : digest.digest()) {
      hex.append(String.format("%02x", value));
    }
    return hex.toString();
  }

  private void discard(Path temporary) {
    // An expired deadline interrupts this thread, and Hadoop's client refuses to work on an
    // interrupted one.
    boolean interrupted = Thread.interrupted();
    try {
      filesystem.delete(temporary, false);
    } catch (IOException e) {
      // The error that brought us here counts for more; a sweep of old temporary files will find
      // this one.
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
