package io.knitprovider.gateway;

import io.knitprovider.common.Json;
import org.json.JSONObject;

/** Whom a call talks to; an error that has to name it asks here. */
enum Peer {
  NONE {
    @Override
    String describe(HadoopClient hadoop, JSONObject args) {
      return "The cluster";
    }
  },
  RESOURCE_MANAGER {
    @Override
    String describe(HadoopClient hadoop, JSONObject args) {
      return "The ResourceManager at " + String.join(" or ", hadoop.resourceManagerAddresses());
    }
  },
  FILESYSTEM {
    @Override
    String describe(HadoopClient hadoop, JSONObject args) {
      for (String field : new String[] {"path", "directory", "source"}) {
        String path = Json.string(args, field, null);
        if (path != null && path.contains("://")) {
          return "The filesystem of " + path;
        }
      }
      return "The filesystem " + hadoop.defaultFilesystem();
    }
  },
  LOG_STORE {
    @Override
    String describe(HadoopClient hadoop, JSONObject args) {
      return "The filesystem that holds the aggregated logs";
    }
  };

  abstract String describe(HadoopClient hadoop, JSONObject args);
}
