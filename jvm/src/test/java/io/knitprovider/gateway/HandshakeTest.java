package io.knitprovider.gateway;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.common.InvalidInput;
import java.util.Collections;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class HandshakeTest {

  private static final String TOKEN = new String(new char[64]).replace('\0', 'a');

  private static JSONObject minimal() {
    return new JSONObject().put("token", TOKEN).put("parent_pid", 1);
  }

  @Test
  void theLeastThatIsNeeded() {
    Handshake handshake = Handshake.parse(minimal().toString());
    assertEquals(TOKEN, handshake.token);
    assertNull(handshake.user);
    assertTrue(handshake.confResources.isEmpty());
    assertEquals("WARN", handshake.logLevel);
  }

  @Test
  void everythingElse() {
    JSONObject json = minimal().put("user", "alice").put("conf", new JSONObject().put("a", "b"));
    Handshake handshake = Handshake.parse(json.toString());
    assertEquals("alice", handshake.user);
    assertEquals(Collections.singletonMap("a", "b"), handshake.conf);
  }

  @Test
  void aWeakTokenIsRefused() {
    assertRefused(minimal().put("token", TOKEN.substring(1)).toString(), "token has 63 characters");
    assertRefused(new JSONObject().put("parent_pid", 1).toString(), "token is missing");
  }

  @Test
  void principalAndKeytabGoTogether() {
    assertRefused(minimal().put("keytab", "/k").toString(), "principal and keytab go together");
  }

  @Test
  void noLineAtAll() {
    assertRefused(null, "standard input ended");
  }

  private static void assertRefused(String line, String words) {
    String message = assertThrows(InvalidInput.class, () -> Handshake.parse(line)).getMessage();
    assertTrue(message.contains(words), message);
  }
}
