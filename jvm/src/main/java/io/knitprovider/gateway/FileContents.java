package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.json.JSONObject;

/** What is in files: reading them, and writing small ones. */
final class FileContents {

  static final int BUFFER = 128 * 1024;
  private static final int WRITERS = 8;
  private static final FsPermission OTHERS = new FsPermission((short) 0077);

  private FileContents() {}

  static Object read(Call call) throws IOException {
    Path path = FileSystems.path(call, "path");
    int limit = Json.between(call.args, "max_bytes", 16 << 20, 0, 64 << 20);
    try (InputStream in = open(call, path)) {
      byte[] content = new byte[limit + 1];
      int length = 0;
      for (int n;
          length < content.length
              && (n = in.read(content, length, content.length - length)) >= 0; ) {
        length += n;
        call.advance();
      }
      if (length > limit) {
        throw new InvalidInput(
            "the file " + path + " is longer than the " + limit + " bytes that were asked for");
      }
      byte[] exact = java.util.Arrays.copyOf(content, length);
      return new JSONObject().put("base64", Base64.getEncoder().encodeToString(exact));
    }
  }

  static Object get(Call call) throws IOException {
    Path path = FileSystems.path(call, "path");
    java.nio.file.Path local = Paths.get(call.string("local"));
    java.nio.file.Path part = local.resolveSibling(local.getFileName() + ".part");
    long length = 0;
    try {
      try (InputStream in = open(call, path);
          OutputStream out = Files.newOutputStream(part)) {
        byte[] buffer = new byte[BUFFER];
        for (int n; (n = in.read(buffer)) >= 0; ) {
          out.write(buffer, 0, n);
          length += n;
          call.advance();
        }
      }
      Files.move(part, local, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(part);
    }
    return new JSONObject().put("length", length);
  }

  /** HDFS opens a folder without a word, and says only at the first byte that it is one. */
  private static InputStream open(Call call, Path path) throws IOException {
    FileSystem filesystem = call.hadoop.filesystem(path);
    if (filesystem.getFileStatus(path).isDirectory()) {
      throw new InvalidInput(path + " is a folder, not a file");
    }
    return filesystem.open(path);
  }

  static Object writeMany(Call call) throws Exception {
    Path directory = FileSystems.path(call, "directory");
    FileSystem filesystem = call.hadoop.filesystem(directory);
    FsPermission directoryMode = FileSystems.mode(call.args, "directory_mode", "700");
    FileSystems.makeFolder(filesystem, directory, directoryMode);
    closeToOthers(filesystem, directory, directoryMode);
    boolean overwrite = Json.bool(call.args, "overwrite", false);
    long modified = Json.integer(call.args, "modified_ms", -1);
    List<JSONObject> files = Json.objects(call.args, "files");
    ExecutorService writers =
        Executors.newFixedThreadPool(Math.max(1, Math.min(WRITERS, files.size())));
    try {
      Map<String, Future<JSONObject>> results = new LinkedHashMap<>();
      for (JSONObject file : files) {
        String name = Json.string(file, "name");
        if (name.isEmpty() || name.contains("/")) {
          throw new InvalidInput("name is " + name + "; it has to be a plain file name");
        }
        results.put(
            name,
            writers.submit(
                () ->
                    call.hadoop.as(
                        () ->
                            write(
                                call,
                                filesystem,
                                new Path(directory, name),
                                file,
                                overwrite,
                                modified))));
      }
      return collect(results);
    } finally {
      writers.shutdownNow();
    }
  }

  /** All of them are waited for, so that none is written after the call has failed for another. */
  private static JSONObject collect(Map<String, Future<JSONObject>> results) throws Exception {
    JSONObject json = new JSONObject();
    List<ExecutionException> failures = new ArrayList<>();
    for (Map.Entry<String, Future<JSONObject>> result : results.entrySet()) {
      try {
        json.put(result.getKey(), result.getValue().get());
      } catch (ExecutionException e) {
        failures.add(e);
      }
    }
    if (!failures.isEmpty()) {
      throw failures.get(0);
    }
    return json;
  }

  private static JSONObject write(
      Call call,
      FileSystem filesystem,
      Path path,
      JSONObject file,
      boolean overwrite,
      long modified)
      throws IOException {
    byte[] content = Base64.getDecoder().decode(Json.string(file, "base64"));
    FsPermission mode = FileSystems.mode(file, "mode", "600");
    try (OutputStream out = create(filesystem, path, mode, overwrite, null)) {
      out.write(content);
    }
    if (modified >= 0) {
      filesystem.setTimes(path, modified, -1);
    }
    call.advance();
    return FileSystems.describe(withMode(filesystem, path, mode));
  }

  /**
   * @param replication null for the filesystem's default
   */
  static FSDataOutputStream create(
      FileSystem filesystem, Path path, FsPermission mode, boolean overwrite, Short replication)
      throws IOException {
    short copies = replication == null ? filesystem.getDefaultReplication(path) : replication;
    return filesystem.create(
        path, mode, overwrite, BUFFER, copies, filesystem.getDefaultBlockSize(path), null);
  }

  /**
   * The status of a file that was just created; a client's umask may have taken bits from its mode,
   * which come back here.
   */
  static FileStatus withMode(FileSystem filesystem, Path path, FsPermission mode)
      throws IOException {
    FileStatus status = filesystem.getFileStatus(path);
    if (status.getPermission().toShort() != mode.toShort()) {
      filesystem.setPermission(path, mode);
      status = filesystem.getFileStatus(path);
    }
    return status;
  }

  /**
   * Private files go into a folder that was there before: it may be open to others, and then
   * anybody could exchange them.
   */
  private static void closeToOthers(FileSystem filesystem, Path directory, FsPermission wanted)
      throws IOException {
    FsPermission actual;
    try {
      actual = filesystem.getFileStatus(directory).getPermission();
    } catch (FileNotFoundException e) {
      return;
    }
    if ((actual.toShort() & OTHERS.toShort() & ~wanted.toShort()) != 0) {
      filesystem.setPermission(directory, wanted);
    }
  }
}
