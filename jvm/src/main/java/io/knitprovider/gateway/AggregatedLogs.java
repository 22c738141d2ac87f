package io.knitprovider.gateway;

import io.knitprovider.common.Errors;
import io.knitprovider.common.Json;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Collections;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.yarn.api.records.ApplicationId;
import org.apache.hadoop.yarn.logaggregation.ContainerLogFileInfo;
import org.apache.hadoop.yarn.logaggregation.ContainerLogMeta;
import org.apache.hadoop.yarn.logaggregation.ContainerLogsRequest;
import org.apache.hadoop.yarn.logaggregation.filecontroller.LogAggregationFileController;
import org.apache.hadoop.yarn.logaggregation.filecontroller.LogAggregationFileControllerFactory;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * Logs of finished applications, in whichever format and folder layout the cluster keeps them:
 * Hadoop's own readers know.
 */
final class AggregatedLogs {

  private AggregatedLogs() {}

  static Object containers(Call call) throws Exception {
    ContainerLogsRequest request = request(call);
    JSONArray result = new JSONArray();
    for (ContainerLogMeta container : controller(call, request).readAggregatedLogsMeta(request)) {
      JSONArray files = new JSONArray();
      for (ContainerLogFileInfo file : container.getContainerLogMeta()) {
        files.put(
            new JSONObject()
                .put("name", file.getFileName())
                .put("length", Long.parseLong(file.getFileSize()))
                .put(
                    "modified",
                    file.getLastModifiedTime() == null ? "" : file.getLastModifiedTime()));
      }
      result.put(
          new JSONObject()
              .put("id", container.getContainerId())
              // Taken from a file name, where the colon before the port became an underscore.
              .put("node", container.getNodeId().replaceFirst("_(\\d+)$", ":$1"))
              .put("files", files));
    }
    return result;
  }

  static Object read(Call call) throws Exception {
    ContainerLogsRequest request = request(call);
    String file = call.string("file");
    request.setContainerId(call.string("container_id"));
    request.setNodeId(Json.string(call.args, "node", null));
    request.setLogTypes(Collections.singleton(file));
    request.setBytes(Long.MAX_VALUE);
    try (OutputStream local = Files.newOutputStream(Paths.get(call.string("local")));
        LogContent content = new LogContent(local, call::advance)) {
      boolean found = controller(call, request).readAggregatedLogs(request, content);
      if (!found || content.sections() == 0) {
        throw new FileNotFoundException(
            "there is no aggregated log " + file + " of container " + request.getContainerId());
      }
      content.requireComplete();
      return new JSONObject().put("length", content.length());
    }
  }

  private static ContainerLogsRequest request(Call call) {
    ContainerLogsRequest request = new ContainerLogsRequest();
    request.setAppId(Applications.id(call.string("application_id")));
    request.setAppOwner(call.string("owner"));
    request.setAppFinished(true);
    return request;
  }

  private static LogAggregationFileController controller(Call call, ContainerLogsRequest request)
      throws IOException {
    LogAggregationFileControllerFactory factory =
        new LogAggregationFileControllerFactory(call.hadoop.conf);
    ApplicationId id = request.getAppId();
    try {
      return factory.getFileControllerForRead(id, request.getAppOwner());
    } catch (IOException e) {
      throw reason(call, factory, request, e);
    }
  }

  /**
   * Hadoop packs whatever went wrong into one IOException; a look at the folders tells "not there"
   * from "not allowed".
   */
  private static IOException reason(
      Call call,
      LogAggregationFileControllerFactory factory,
      ContainerLogsRequest request,
      IOException failure) {
    StringBuilder places = new StringBuilder();
    for (LogAggregationFileController controller :
        factory.getConfiguredLogAggregationFileControllerList()) {
      try {
        Path folder = controller.getRemoteAppLogDir(request.getAppId(), request.getAppOwner());
        FileSystem filesystem = call.hadoop.filesystem(folder);
        places.append(places.length() == 0 ? "" : ", ").append(filesystem.makeQualified(folder));
        filesystem.listStatusIterator(folder).hasNext();
      } catch (FileNotFoundException e) {
        // As expected.
      } catch (IOException e) {
        return e;
      }
    }
    FileNotFoundException absent =
        new FileNotFoundException(
            "there are no aggregated logs of "
                + request.getAppId()
                + " of user "
                + request.getAppOwner()
                + (places.length() == 0 ? ": " + Errors.message(failure) : " in " + places));
    absent.initCause(failure);
    return absent;
  }
}
