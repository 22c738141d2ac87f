package io.knitprovider.gateway;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

class LogContentTest {

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final LogContent content = new LogContent(out, () -> {});

  private static String section(String text) {
    int length = text.getBytes(StandardCharsets.UTF_8).length;
    return "Container: container_1 on node_1\n=====\nLogAggregationType: AGGREGATED\n=====\nLogType:stdout\n"
        + "LogLastModifiedTime:Sun Nov 22\nLogLength:"
        + length
        + "\nLogContents:\n"
        + text
        + "\nEnd of LogType:stdout\n*****\n\n";
  }

  private void print(String text, int pieces) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    for (int from = 0; from < bytes.length; from += pieces) {
      content.write(bytes, from, Math.min(pieces, bytes.length - from));
    }
  }

  private String passedOn() {
    return new String(out.toByteArray(), StandardCharsets.UTF_8);
  }

  @Test
  void passesOnTheContentAlone() throws IOException {
    print(section("hello\nwörld"), 1000);
    assertEquals("hello\nwörld", passedOn());
    assertEquals(12, content.length());
    content.requireComplete();
  }

  @Test
  void howTheBytesComeInDoesNotMatter() throws IOException {
    for (int pieces = 1; pieces < 20; pieces++) {
      out.reset();
      print(section("hello\nwörld"), pieces);
      assertEquals("hello\nwörld", passedOn());
    }
  }

  @Test
  void contentThatLooksLikeFramingIsContent() throws IOException {
    String text = "LogLength:5\nLogContents:\nabc\nEnd of LogType:stdout\n";
    print(section(text), 7);
    assertEquals(text, passedOn());
  }

  @Test
  void severalSectionsAreOneLog() throws IOException {
    print(section("one,") + section("") + section("two"), 11);
    assertEquals("one,two", passedOn());
    assertEquals(3, content.sections());
  }

  @Test
  void aLogThatEndsEarlyIsNoticed() throws IOException {
    print("LogLength:10\nLogContents:\nabc", 100);
    assertEquals(
        "the aggregated log ends 7 bytes early",
        assertThrows(IOException.class, content::requireComplete).getMessage());
  }
}
