package io.knitprovider.am.spec;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.json.JSONObject;

/** What one container asks for: memory in MiB, virtual cores, and any resource that has a name. */
public final class Resources {

  private final int memory;
  private final int vcores;
  private final Map<String, Long> named;

  public Resources(int memory, int vcores, Map<String, Long> named) {
    this.memory = memory;
    this.vcores = vcores;
    this.named = Collections.unmodifiableMap(new TreeMap<>(named));
  }

  /**
   * Reads a {@code resources} object.
   *
   * @param fallback supplies what the object leaves out; null where everything must be given
   */
  public static Resources parse(JSONObject json, String field, Resources fallback) {
    JSONObject resources = Json.objectOrNull(json, field);
    if (resources == null) {
      if (fallback == null) {
        throw new InvalidInput(field + " is missing");
      }
      return fallback;
    }
    if (fallback == null) {
      Json.integer(resources, "memory");
      Json.integer(resources, "vcores");
    }
    int memory =
        Json.between(
            resources, "memory", fallback == null ? 0 : fallback.memory, 1, Integer.MAX_VALUE);
    int vcores =
        Json.between(
            resources, "vcores", fallback == null ? 0 : fallback.vcores, 1, Integer.MAX_VALUE);
    Map<String, Long> named =
        Json.has(resources, "named") || fallback == null
            ? Json.integerMap(resources, "named")
            : fallback.named;
    for (Map.Entry<String, Long> resource : named.entrySet()) {
      if (resource.getValue() < 0) {
        throw new InvalidInput(
            field + ".named." + resource.getKey() + " is " + resource.getValue() + ", below 0");
      }
    }
    return new Resources(memory, vcores, named);
  }

  public JSONObject toJson() {
    return new JSONObject()
        .put("memory", memory)
        .put("vcores", vcores)
        .put("named", new JSONObject(named));
  }

  /** Memory in MiB. */
  public int memory() {
    return memory;
  }

  public int vcores() {
    return vcores;
  }

  /** Amounts of the resources that YARN knows by name, such as {@code yarn.io/gpu}. */
  public Map<String, Long> named() {
    return named;
  }

  /** In words, what of this is more than the most that one container may have; or null. */
  public String excessOver(Resources most) {
    if (memory > most.memory) {
      return "memory of " + memory + " MiB; one container may have at most " + most.memory + " MiB";
    }
    if (vcores > most.vcores) {
      return vcores + " vcores; one container may have at most " + most.vcores;
    }
    for (Map.Entry<String, Long> resource : named.entrySet()) {
      long amount = resource.getValue();
      Long limit = most.named.get(resource.getKey());
      if (amount > 0 && limit == null) {
        return amount + " " + resource.getKey() + ", a resource that this cluster does not have";
      }
      if (limit != null && amount > limit) {
        return amount + " " + resource.getKey() + "; one container may have at most " + limit;
      }
    }
    return null;
  }

  @Override
  public boolean equals(Object other) {
    if (!(other instanceof Resources)) {
      return false;
    }
    Resources that = (Resources) other;
    return memory == that.memory && vcores == that.vcores && named.equals(that.named);
  }

  @Override
  public int hashCode() {
    return (memory * 31 + vcores) * 31 + named.hashCode();
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    text.append(memory).append(" MiB, ").append(vcores).append(vcores == 1 ? " vcore" : " vcores");
    named.forEach((name, amount) -> text.append(", ").append(amount).append(' ').append(name));
    return text.toString();
  }
}
