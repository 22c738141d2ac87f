package io.knitprovider.am;

import io.knitprovider.am.spec.ApplicationSpec;
import io.knitprovider.am.spec.SpecReader;
import org.json.JSONArray;
import org.json.JSONObject;

/** Documents for the tests: valid, and small unless said otherwise. */
public final class SpecBuilder {

  public final JSONObject json =
      new JSONObject()
          .put("version", 1)
          .put("application_id", "application_1_0001")
          .put("submission_id", "abc")
          .put("staging_dir", "hdfs://nn/staging")
          .put("ledger_file", "hdfs://nn/ledger")
          .put("services", new JSONArray());

  /** Adds a service; its object can be changed afterwards. */
  public JSONObject service(String name, int instances) {
    JSONObject script =
        new JSONObject().put("uri", "hdfs://nn/run.sh").put("size", 1).put("timestamp", 2);
    JSONObject service =
        new JSONObject()
            .put("name", name)
            .put("instances", instances)
            .put("resources", new JSONObject().put("memory", 128).put("vcores", 1))
            .put("local_resources", new JSONObject().put("knit-run.sh", script));
    json.getJSONArray("services").put(service);
    return service;
  }

  public ApplicationSpec build() {
    return SpecReader.read(json.toString());
  }

  /** One service {@code work}, changed as given: field, value, field, value ... */
  public static ApplicationSpec one(int instances, Object... changes) {
    SpecBuilder builder = new SpecBuilder();
    JSONObject service = builder.service("work", instances);
    for (int i = 0; i < changes.length; i += 2) {
      service.put((String) changes[i], changes[i + 1]);
    }
    return builder.build();
  }
}
