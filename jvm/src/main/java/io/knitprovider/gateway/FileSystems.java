package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsStatus;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PathIsNotEmptyDirectoryException;
import org.apache.hadoop.fs.QuotaUsage;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.util.VersionInfo;
import org.json.JSONArray;
import org.json.JSONObject;

/** Names in filesystems: what is there, making, moving and removing it. */
final class FileSystems {

  private static final long QUOTA_PATIENCE_MS = 5_000;

  private FileSystems() {}

  static Object hello(Call call) throws IOException {
    return new JSONObject()
        .put("hadoop", VersionInfo.getVersion())
        .put("java", System.getProperty("java.version"))
        .put("user", call.hadoop.ugi.getShortUserName())
        .put("default_fs", call.hadoop.defaultFilesystem())
        .put("home", home(call));
  }

  static Object home(Call call) throws IOException {
    return FileSystem.get(call.hadoop.conf).getHomeDirectory().toString();
  }

  static Object status(Call call) throws IOException {
    Path path = path(call, "path");
    try {
      return describe(call.hadoop.filesystem(path).getFileStatus(path));
    } catch (FileNotFoundException e) {
      return JSONObject.NULL;
    }
  }

  static Object list(Call call) throws IOException {
    Path path = path(call, "path");
    int limit = Json.between(call.args, "limit", 1000, 0, 1_000_000);
    JSONArray result = new JSONArray();
    RemoteIterator<FileStatus> entries = call.hadoop.filesystem(path).listStatusIterator(path);
    while (result.length() < limit && entries.hasNext()) {
      result.put(describe(entries.next()));
    }
    return result;
  }

  static Object delete(Call call) throws IOException {
    Path path = path(call, "path");
    if (path.isRoot()) {
      throw new InvalidInput("path is " + path + ": the root of a filesystem is not deleted");
    }
    FileSystem filesystem = call.hadoop.filesystem(path);
    boolean recursive = Json.bool(call.args, "recursive", false);
    try {
      return filesystem.delete(path, recursive);
    } catch (PathIsNotEmptyDirectoryException e) {
      throw new FileAlreadyExistsException("the folder " + path + " is not empty");
    }
  }

  static Object mkdirs(Call call) throws IOException {
    Path path = path(call, "path");
    makeFolder(call.hadoop.filesystem(path), path, mode(call.args, "mode", "700"));
    return JSONObject.NULL;
  }

  static Object rename(Call call) throws IOException {
    Path from = path(call, "source");
    Path to = path(call, "target");
    renameWithoutOverwrite(call.hadoop, from, to);
    return JSONObject.NULL;
  }

  static Object touch(Call call) throws IOException {
    Path path = path(call, "path");
    FileSystem filesystem = call.hadoop.filesystem(path);
    try {
      filesystem.setTimes(path, System.currentTimeMillis(), -1);
    } catch (FileNotFoundException e) {
      FileContents.create(filesystem, path, new FsPermission((short) 0600), false, null).close();
    }
    return JSONObject.NULL;
  }

  static Object free(Call call) throws IOException {
    Path path = path(call, "path");
    FileSystem filesystem = call.hadoop.filesystem(path);
    FsStatus status = filesystem.getStatus(path);
    JSONObject json =
        new JSONObject()
            .put("capacity", status.getCapacity())
            .put("used", status.getUsed())
            .put("remaining", status.getRemaining());
    if (filesystem instanceof DistributedFileSystem) {
      putQuotas(json, call, filesystem, path);
    }
    return json;
  }

  /** Only where it comes quickly: for a folder without a quota HDFS counts everything below it. */
  private static void putQuotas(JSONObject json, Call call, FileSystem filesystem, Path path) {
    FutureTask<QuotaUsage> task =
        new FutureTask<>(() -> call.hadoop.as(() -> filesystem.getQuotaUsage(path)));
    Thread thread = new Thread(task, "quota");
    thread.setDaemon(true);
    thread.start();
    try {
      QuotaUsage usage = task.get(QUOTA_PATIENCE_MS, TimeUnit.MILLISECONDS);
      putQuota(json, "name", usage.getQuota(), usage.getFileAndDirectoryCount());
      putQuota(json, "space", usage.getSpaceQuota(), usage.getSpaceConsumed());
    } catch (ExecutionException | TimeoutException e) {
      // Counting needs the right to read every folder below, and time.
      task.cancel(true);
    } catch (InterruptedException e) {
      task.cancel(true);
      Thread.currentThread().interrupt();
    }
  }

  private static void putQuota(JSONObject json, String name, long quota, long used) {
    if (quota >= 0) {
      json.put(name + "_quota", quota).put(name + "_used", used);
    }
  }

  static Path path(Call call, String field) {
    return path(call.string(field), field);
  }

  static Path path(String text, String field) {
    try {
      return new Path(text);
    } catch (IllegalArgumentException e) {
      throw new InvalidInput(field + " is " + text + ", which is not a path: " + e.getMessage(), e);
    }
  }

  static FsPermission mode(JSONObject json, String field, String fallback) {
    String text = Json.string(json, field, fallback);
    if (!text.matches("[0-7]{3,4}")) {
      throw new InvalidInput(field + " is " + text + "; it has to be octal digits such as 600");
    }
    return new FsPermission(Short.parseShort(text, 8));
  }

  /**
   * Makes the folder with exactly this mode, whatever the umask; one that exists is left as it is.
   */
  static void makeFolder(FileSystem filesystem, Path path, FsPermission mode) throws IOException {
    try {
      FileStatus existing = filesystem.getFileStatus(path);
      if (!existing.isDirectory()) {
        throw new FileAlreadyExistsException(path + " exists and is a file, not a folder");
      }
      return;
    } catch (FileNotFoundException e) {
      // To be made.
    }
    filesystem.mkdirs(path, mode);
    if (!mode.equals(
        FsPermission.getDirDefault().applyUMask(FsPermission.getUMask(filesystem.getConf())))) {
      FileStatus made = filesystem.getFileStatus(path);
      if (made.getPermission().toShort() != mode.toShort()) {
        filesystem.setPermission(path, mode);
      }
    }
  }

  /** In one step, and never over something that is there. */
  static void renameWithoutOverwrite(HadoopClient hadoop, Path from, Path to) throws IOException {
    FileSystem filesystem = hadoop.filesystem(from);
    try {
      if (filesystem instanceof DistributedFileSystem) {
        renameInHdfs((DistributedFileSystem) filesystem, from, to);
      } else {
        FileContext context = FileContext.getFileContext(filesystem.getUri(), hadoop.conf);
        context.rename(
            filesystem.makeQualified(from), filesystem.makeQualified(to), Options.Rename.NONE);
      }
    } catch (FileAlreadyExistsException e) {
      throw new FileAlreadyExistsException(to + " exists already");
    } catch (FileNotFoundException e) {
      throw e;
    } catch (IOException e) {
      // A file onto a folder has no exception class of its own.
      throw filesystem.exists(to) ? new FileAlreadyExistsException(to + " exists already") : e;
    }
  }

  // FileSystem has it protected, HDFS public; both are marked deprecated because "for use by
  // FileContext" was the idea. Going
  // through FileContext would start a second HDFS client.
  @SuppressWarnings("deprecation")
  private static void renameInHdfs(DistributedFileSystem hdfs, Path from, Path to)
      throws IOException {
    hdfs.rename(from, to, Options.Rename.NONE);
  }

  static JSONObject describe(FileStatus status) {
    return new JSONObject()
        // As Hadoop writes paths: without the escapes of a URI, so that it can be handed back as it
        // is.
        .put("path", status.getPath().toString())
        .put("type", status.isDirectory() ? "DIRECTORY" : "FILE")
        .put("length", status.isDirectory() ? 0 : status.getLen())
        .put("modified_ms", status.getModificationTime())
        .put("permission", Integer.toOctalString(status.getPermission().toShort() & 01777))
        .put("owner", status.getOwner())
        .put("replication", status.isDirectory() ? 0 : status.getReplication());
  }
}
