package io.knitprovider.common;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * Typed reading of JSON. Everything here refuses a wrong type by an {@link InvalidInput} that names
 * the field, where org.json's own getters would silently turn {@code "3"} into 3 and 3 into {@code
 * "3"}.
 */
public final class Json {

  private Json() {}

  /**
   * @param what names the text in the error message
   */
  public static JSONObject parse(String text, String what) {
    try {
      return new JSONObject(text);
    } catch (JSONException e) {
      throw new InvalidInput(what + " is not a JSON object: " + e.getMessage(), e);
    }
  }

  /** Whether the field is there and not null. */
  public static boolean has(JSONObject json, String field) {
    return !json.isNull(field);
  }

  public static String string(JSONObject json, String field) {
    String value = string(json, field, null);
    if (value == null) {
      throw missing(field);
    }
    return value;
  }

  public static String string(JSONObject json, String field, String fallback) {
    if (json.isNull(field)) {
      return fallback;
    }
    Object value = json.get(field);
    if (!(value instanceof String)) {
      throw wrong(field, "a string", value);
    }
    return (String) value;
  }

  public static boolean bool(JSONObject json, String field, boolean fallback) {
    if (json.isNull(field)) {
      return fallback;
    }
    Object value = json.get(field);
    if (!(value instanceof Boolean)) {
      throw wrong(field, "true or false", value);
    }
    return (Boolean) value;
  }

  public static long integer(JSONObject json, String field) {
    if (json.isNull(field)) {
      throw missing(field);
    }
    return integer(json, field, 0L);
  }

  public static long integer(JSONObject json, String field, long fallback) {
    if (json.isNull(field)) {
      return fallback;
    }
    return integer(json.get(field), field);
  }

  /** As {@link #integer}, for values that have to lie between two bounds, both included. */
  public static int between(JSONObject json, String field, int fallback, int low, int high) {
    long value = integer(json, field, fallback);
    if (value < low || value > high) {
      throw new InvalidInput(
          field + " is " + value + "; it has to lie between " + low + " and " + high);
    }
    return (int) value;
  }

  public static double number(JSONObject json, String field) {
    Object value = json.opt(field);
    if (value == null || value == JSONObject.NULL) {
      throw missing(field);
    }
    if (!(value instanceof Number)) {
      throw wrong(field, "a number", value);
    }
    return ((Number) value).doubleValue();
  }

  public static JSONObject object(JSONObject json, String field) {
    JSONObject value = objectOrNull(json, field);
    if (value == null) {
      throw missing(field);
    }
    return value;
  }

  public static JSONObject objectOrNull(JSONObject json, String field) {
    if (json.isNull(field)) {
      return null;
    }
    Object value = json.get(field);
    if (!(value instanceof JSONObject)) {
      throw wrong(field, "an object", value);
    }
    return (JSONObject) value;
  }

  /** The objects of an array; an absent or null field is an empty list. */
  public static List<JSONObject> objects(JSONObject json, String field) {
    List<JSONObject> result = new ArrayList<>();
    for (Object value : array(json, field)) {
      if (!(value instanceof JSONObject)) {
        throw wrong(field + "[" + result.size() + "]", "an object", value);
      }
      result.add((JSONObject) value);
    }
    return result;
  }

  /** The strings of an array; an absent or null field is an empty list. */
  public static List<String> strings(JSONObject json, String field) {
    List<String> result = new ArrayList<>();
    for (Object value : array(json, field)) {
      if (!(value instanceof String)) {
        throw wrong(field + "[" + result.size() + "]", "a string", value);
      }
      result.add((String) value);
    }
    return result;
  }

  /** The whole numbers of an array, each within two bounds; an absent field is an empty list. */
  public static List<Integer> integers(JSONObject json, String field, int low, int high) {
    List<Integer> result = new ArrayList<>();
    for (Object value : array(json, field)) {
      String name = field + "[" + result.size() + "]";
      long number = integer(value, name);
      if (number < low || number > high) {
        throw new InvalidInput(
            name + " is " + number + "; it has to lie between " + low + " and " + high);
      }
      result.add((int) number);
    }
    return result;
  }

  /** An object of strings; an absent or null field is an empty map. */
  public static Map<String, String> stringMap(JSONObject json, String field) {
    JSONObject object = objectOrNull(json, field);
    if (object == null) {
      return Collections.emptyMap();
    }
    Map<String, String> result = new LinkedHashMap<>();
    for (String key : object.keySet()) {
      Object value = object.get(key);
      if (!(value instanceof String)) {
        throw wrong(field + "." + key, "a string", value);
      }
      result.put(key, (String) value);
    }
    return result;
  }

  /** An object of whole numbers; an absent or null field is an empty map. */
  public static Map<String, Long> integerMap(JSONObject json, String field) {
    JSONObject object = objectOrNull(json, field);
    if (object == null) {
      return Collections.emptyMap();
    }
    Map<String, Long> result = new LinkedHashMap<>();
    for (String key : object.keySet()) {
      result.put(key, integer(object.get(key), field + "." + key));
    }
    return result;
  }

  /** The value, or JSON's own null where it is a Java null: org.json drops fields that are null. */
  public static Object orNull(Object value) {
    return value == null ? JSONObject.NULL : value;
  }

  private static JSONArray array(JSONObject json, String field) {
    if (json.isNull(field)) {
      return new JSONArray();
    }
    Object value = json.get(field);
    if (!(value instanceof JSONArray)) {
      throw wrong(field, "an array", value);
    }
    return (JSONArray) value;
  }

  private static long integer(Object value, String field) {
    if (value instanceof Integer || value instanceof Long) {
      return ((Number) value).longValue();
    }
    throw wrong(field, "a whole number", value);
  }

  private static InvalidInput missing(String field) {
    return new InvalidInput(field + " is missing");
  }

  private static InvalidInput wrong(String field, String wanted, Object value) {
    String shown = String.valueOf(value);
    if (shown.length() > 100) {
      shown = shown.substring(0, 100) + "…";
    }
    return new InvalidInput(field + " has to be " + wanted + ", not " + shown);
  }
}
