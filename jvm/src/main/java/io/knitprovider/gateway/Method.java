package io.knitprovider.gateway;

/** One thing that Python can ask for. */
@FunctionalInterface
interface Method {

  /**
   * Runs as the user that the gateway was started for.
   *
   * @return a value that goes into JSON: a JSONObject, JSONArray, String, Boolean, Number or
   *     JSONObject.NULL
   */
  Object run(Call call) throws Exception;
}
