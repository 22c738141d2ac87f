package io.knitprovider.am.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.knitprovider.common.InvalidInput;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.json.JSONObject;
import org.junit.jupiter.api.Test;

class KeyValueStoreTest {

  private final List<JSONObject> journal = new ArrayList<>();
  private final KeyValueStore store = new KeyValueStore(journal::add);

  private static String text(int length) {
    char[] text = new char[length];
    Arrays.fill(text, 'x');
    return new String(text);
  }

  @Test
  void aPrefixListsItsKeysOnly() {
    store.set("a/1", "x", null);
    store.set("a/2", "y", null);
    store.set("b", "z", null);
    JSONObject listed = store.list("a/");
    assertEquals("{\"a/1\":\"x\",\"a/2\":\"y\"}", listed.getJSONObject("values").toString());
    assertEquals(3, listed.getInt("revision"));
  }

  @Test
  void versionsGuardAgainstLostUpdates() {
    long version = store.set("k", "a", 0L);
    assertThrows(VersionConflict.class, () -> store.set("k", "b", 0L));
    store.set("k", "b", version);
    assertThrows(VersionConflict.class, () -> store.delete("k", version));
    assertThrows(VersionConflict.class, () -> store.delete("other", 5L));
    assertEquals("b", store.get("k").getString("value"));
  }

  @Test
  void aWatcherIsToldOfChangesAndDeletions() {
    long seen = store.set("a", "1", null);
    CompletableFuture<JSONObject> news = store.changed("", false, seen);
    assertFalse(news.isDone());
    store.delete("a", null);
    assertTrue(news.join().getJSONArray("changes").getJSONObject(0).isNull("value"));
    assertEquals(1, store.changed("a", true, seen).join().getJSONArray("changes").length());
  }

  @Test
  void whoIsTooFarBehindGetsEverything() {
    long seen = store.set("old", "1", null);
    for (int i = 0; i < 1_100; i++) {
      store.set("k" + i, "x", null);
      store.delete("k" + i, null);
    }
    JSONObject news = store.changed("", false, seen).join();
    assertTrue(news.getBoolean("complete"));
    assertTrue(news.getJSONArray("changes").toString().contains("\"old\""));
  }

  @Test
  void whoHasWaitedLongEnoughGetsNothing() {
    CompletableFuture<JSONObject> news = store.changed("k", true, 0);
    store.giveUp(news);
    assertTrue(news.join().getJSONArray("changes").isEmpty());
    store.set("k", "x", null);
  }

  @Test
  void aChangeThatComesWithTheEndOfTheWaitIsNotLost() {
    CompletableFuture<JSONObject> first = store.changed("k", true, 0);
    CompletableFuture<JSONObject> second = store.changed("k", true, 0);
    // The second's time is up after the change was made and before it has been told.
    first.thenAccept(news -> store.giveUp(second));
    store.set("k", "x", null);
    assertEquals(1, second.join().getJSONArray("changes").length());
  }

  @Test
  void theStoreHasLimits() {
    for (String key : new String[] {"", "a\nb", text(513)}) {
      assertThrows(InvalidInput.class, () -> store.set(key, "x", null));
    }
    assertThrows(
        InvalidInput.class, () -> store.set("k", text(KeyValueStore.MOST_VALUE + 1), null));
    String large = text(KeyValueStore.MOST_VALUE);
    for (int i = 0; i < 31; i++) {
      store.set("k" + i, large, null);
    }
    InvalidInput full =
        assertThrows(
            InvalidInput.class,
            () -> {
              store.set("k31", large, null);
            });
    assertTrue(full.getMessage().contains("full"));
    store.delete("k0", null);
    store.set("k31", large, null);
    assertEquals(33, journal.size(), "what was refused is not in the journal");
  }
}
