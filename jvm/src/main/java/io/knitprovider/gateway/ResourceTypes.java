package io.knitprovider.gateway;

import io.knitprovider.common.InvalidInput;
import java.util.Map;
import org.apache.hadoop.yarn.api.ApplicationClientProtocol;
import org.apache.hadoop.yarn.api.protocolrecords.GetAllResourceTypeInfoRequest;
import org.apache.hadoop.yarn.api.records.Resource;
import org.apache.hadoop.yarn.api.records.ResourceInformation;
import org.apache.hadoop.yarn.exceptions.ResourceNotFoundException;
import org.apache.hadoop.yarn.util.resource.ResourceUtils;
import org.json.JSONObject;

/** Resources of any name: GPUs, licences, whatever a cluster counts besides memory and cores. */
final class ResourceTypes {

  private ResourceTypes() {}

  /** A client usually has no resource-types.xml; so the ResourceManager is asked. */
  static void learn(ApplicationClientProtocol resourceManager) throws Exception {
    try {
      ResourceUtils.reinitializeResources(
          resourceManager
              .getResourceTypeInfo(GetAllResourceTypeInfoRequest.newInstance())
              .getResourceTypeInfo());
    } catch (org.apache.hadoop.ipc.RemoteException e) {
      if (!String.valueOf(e.getClassName()).contains("RpcNoSuchMethodException")) {
        throw e;
      }
      // An older ResourceManager, which knows memory and cores only.
    }
  }

  static Resource resource(int memory, int vcores, Map<String, Long> named) {
    Resource resource = Resource.newInstance(memory, vcores);
    for (Map.Entry<String, Long> entry : named.entrySet()) {
      try {
        resource.setResourceValue(entry.getKey(), entry.getValue());
      } catch (ResourceNotFoundException e) {
        throw new InvalidInput(
            "the cluster has no resource named "
                + entry.getKey()
                + "; it has "
                + String.join(", ", ResourceUtils.getResourceTypes().keySet()),
            e);
      }
    }
    return resource;
  }

  /** Everything but memory and cores, by name. */
  static JSONObject named(Resource resource) {
    JSONObject json = new JSONObject();
    for (ResourceInformation information : resource.getResources()) {
      String name = information.getName();
      if (!name.equals(ResourceInformation.MEMORY_URI)
          && !name.equals(ResourceInformation.VCORES_URI)) {
        json.put(name, information.getValue());
      }
    }
    return json;
  }
}
