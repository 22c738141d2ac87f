package io.knitprovider.common;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Collections;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class JsonTest {

  private final JSONObject json =
      Json.parse(
          "{\"s\":\"x\",\"n\":3,\"f\":0.5,\"b\":true,\"z\":null,\"l\":[\"a\",\"b\"],\"m\":{\"k\":7}}",
          "it");

  @Test
  void readsWhatIsThere() {
    assertEquals("x", Json.string(json, "s"));
    assertEquals(3, Json.integer(json, "n"));
    assertEquals(0.5, Json.number(json, "f"));
    assertTrue(Json.bool(json, "b", false));
    assertEquals(Arrays.asList("a", "b"), Json.strings(json, "l"));
    assertEquals(Collections.singletonMap("k", 7L), Json.integerMap(json, "m"));
  }

  @Test
  void absentAndNullAreTheFallback() {
    for (String field : new String[] {"absent", "z"}) {
      assertNull(Json.string(json, field, null));
      assertEquals(9, Json.integer(json, field, 9));
      assertTrue(Json.strings(json, field).isEmpty());
      assertTrue(Json.stringMap(json, field).isEmpty());
    }
  }

  @Test
  void refusesWrongTypesByTheFieldsName() {
    assertRefusal("n has to be a string, not 3", () -> Json.string(json, "n"));
    assertRefusal("s has to be a whole number, not x", () -> Json.integer(json, "s"));
    assertRefusal("f has to be a whole number, not 0.5", () -> Json.integer(json, "f"));
    assertRefusal("s has to be true or false, not x", () -> Json.bool(json, "s", true));
    assertRefusal("s has to be an object, not x", () -> Json.object(json, "s"));
    assertRefusal("m.k has to be a string, not 7", () -> Json.stringMap(json, "m"));
    assertRefusal("absent is missing", () -> Json.string(json, "absent"));
    assertRefusal("n is 3; it has to lie between 5 and 6", () -> Json.between(json, "n", 5, 5, 6));
    assertTrue(
        message(() -> Json.parse("[1]", "the spec")).startsWith("the spec is not a JSON object"));
  }

  @Test
  void aLongWrongValueIsShortened() {
    JSONObject one = new JSONObject().put("n", new String(new char[500]).replace('\0', 'y'));
    assertTrue(message(() -> Json.integer(one, "n")).length() < 200);
  }

  private static void assertRefusal(String expected, Executable action) {
    assertEquals(expected, message(action));
  }

  private static String message(Executable action) {
    return assertThrows(InvalidInput.class, action).getMessage();
  }
}
