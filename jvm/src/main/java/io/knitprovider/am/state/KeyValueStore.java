package io.knitprovider.am.state;

import io.knitprovider.common.InvalidInput;
import io.knitprovider.common.Json;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * Small texts under names, for the application's containers and its owner to find each other by.
 * Every change has a number of its own, higher than all before it, by which a reader asks for what
 * it has not seen yet. Changes go to the journal in their order. Safe to use from any thread.
 */
public final class KeyValueStore {

  public static final int MOST_KEY = 512;
  public static final int MOST_VALUE = 256 * 1024;
  private static final int MOST_ENTRIES = 20_000;

  /** Of all keys and values together, in characters: the heap is small. */
  private static final int MOST_TOTAL = 8 * 1024 * 1024;

  /** Deletions that a reader can still be told of; who is further behind gets everything anew. */
  private static final int MOST_REMEMBERED = 1_000;

  /** More changes than can be on their way to the journal at once. */
  private static final long LEAP = 1_000_000;

  private static final class Entry {
    final String value;
    final long version;

    Entry(String value, long version) {
      this.value = value;
      this.version = version;
    }
  }

  private static final class Waiter {
    final String name;
    final boolean exact;
    final long since;
    final CompletableFuture<JSONObject> answer = new CompletableFuture<>();

    Waiter(String name, boolean exact, long since) {
      this.name = name;
      this.exact = exact;
      this.since = since;
    }
  }

  private final JournalSink journal;
  private final TreeMap<String, Entry> entries = new TreeMap<>();
  private final LinkedHashMap<String, Long> deletions = new LinkedHashMap<>();
  private final List<Waiter> waiters = new ArrayList<>();
  private long revision;

  /** Deletions up to this one are forgotten. */
  private long forgotten;

  private int total;

  public KeyValueStore(JournalSink journal) {
    this.journal = journal;
  }

  /**
   * Sets a key.
   *
   * @param expected the version that the key must have, 0 for none, or null for any
   * @return the change's number
   * @throws VersionConflict the key has another version
   */
  public long set(String key, String value, Long expected) {
    check(key);
    if (value.length() > MOST_VALUE) {
      throw new InvalidInput(
          "the value of "
              + key
              + " has "
              + value.length()
              + " characters; at most "
              + MOST_VALUE
              + " are kept. Put it into a file and its name here");
    }
    List<Waiter> woken;
    long version;
    synchronized (this) {
      Entry old = entries.get(key);
      expect(key, old, expected);
      int after = total + value.length() + (old == null ? key.length() : -old.value.length());
      if (after > MOST_TOTAL || (old == null && entries.size() >= MOST_ENTRIES)) {
        throw new InvalidInput(
            "the store is full: it keeps "
                + MOST_TOTAL
                + " characters under "
                + MOST_ENTRIES
                + " keys. Delete some");
      }
      version = apply(key, value, revision + 1);
      woken = takeWaiters(key);
    }
    answer(woken);
    return version;
  }

  /**
   * Deletes a key.
   *
   * @return whether it was there
   * @throws VersionConflict the key has another version than the expected one
   */
  public boolean delete(String key, Long expected) {
    check(key);
    List<Waiter> woken;
    synchronized (this) {
      Entry old = entries.get(key);
      expect(key, old, expected);
      if (old == null) {
        return false;
      }
      apply(key, null, revision + 1);
      woken = takeWaiters(key);
    }
    answer(woken);
    return true;
  }

  /** The key's value and version; a null value and version 0 where there is none. */
  public synchronized JSONObject get(String key) {
    check(key);
    Entry entry = entries.get(key);
    return new JSONObject()
        .put("value", Json.orNull(entry == null ? null : entry.value))
        .put("version", entry == null ? 0 : entry.version);
  }

  /** All keys that begin so, with their values. */
  public synchronized JSONObject list(String prefix) {
    JSONObject values = new JSONObject();
    for (Map.Entry<String, Entry> each : entries.tailMap(prefix, true).entrySet()) {
      if (!each.getKey().startsWith(prefix)) {
        break;
      }
      values.put(each.getKey(), each.getValue().value);
    }
    return new JSONObject().put("values", values).put("revision", revision);
  }

  /**
   * What has changed after a number; completed at once where something has, else by the next
   * change. Of several changes of a key only the last is told.
   *
   * @param name a key, or what keys begin with
   * @param exact whether it is a key
   */
  public synchronized CompletableFuture<JSONObject> changed(
      String name, boolean exact, long since) {
    Waiter waiter = new Waiter(name, exact, since);
    JSONObject news = news(waiter);
    if (news != null) {
      waiter.answer.complete(news);
    } else {
      waiters.add(waiter);
    }
    return waiter.answer;
  }

  /** Lets a waiter go that has waited long enough. */
  public void giveUp(CompletableFuture<JSONObject> answer) {
    JSONObject nothing;
    synchronized (this) {
      if (!waiters.removeIf(waiter -> waiter.answer == answer)) {
        return; // a change has come in time, and whoever made it is about to answer
      }
      nothing = changes(new JSONArray(), false);
    }
    answer.complete(nothing);
  }

  /** Repeats a change of an earlier attempt. Repeating one twice changes nothing. */
  synchronized void replay(JSONObject entry) {
    long version = Json.integer(entry, "version");
    if (version > revision) {
      apply(Json.string(entry, "key"), Json.string(entry, "value", null), version, false);
    }
  }

  /**
   * To be called after the repetitions. Somebody may have seen the last changes of an attempt that
   * died before they were safe, so their numbers are not given again.
   */
  synchronized void leap() {
    revision += LEAP;
  }

  private long apply(String key, String value, long version) {
    return apply(key, value, version, true);
  }

  private long apply(String key, String value, long version, boolean isNew) {
    revision = version;
    Entry old = value == null ? entries.remove(key) : entries.put(key, new Entry(value, version));
    total -= old == null ? 0 : key.length() + old.value.length();
    total += value == null ? 0 : key.length() + value.length();
    deletions.remove(key);
    if (value == null) {
      deletions.put(key, version);
      if (deletions.size() > MOST_REMEMBERED) {
        Iterator<Long> oldest = deletions.values().iterator();
        forgotten = oldest.next();
        oldest.remove();
      }
    }
    if (isNew) {
      journal.write(
          new JSONObject()
              .put("event", "kv")
              .put("key", key)
              .put("value", Json.orNull(value))
              .put("version", version));
    }
    return version;
  }

  private static void expect(String key, Entry old, Long expected) {
    long actual = old == null ? 0 : old.version;
    if (expected != null && expected != actual) {
      throw new VersionConflict(
          key
              + " has version "
              + actual
              + (actual == 0 ? " (it is not set)" : "")
              + ", not "
              + expected);
    }
  }

  /** What a waiter has not seen yet, or null. */
  private JSONObject news(Waiter waiter) {
    boolean anew = waiter.since < forgotten;
    JSONArray found = new JSONArray();
    if (waiter.exact) {
      Entry entry = entries.get(waiter.name);
      if (entry != null && (anew || entry.version > waiter.since)) {
        found.put(change(waiter.name, entry.value, entry.version));
      }
    } else {
      for (Map.Entry<String, Entry> each : entries.tailMap(waiter.name, true).entrySet()) {
        if (!each.getKey().startsWith(waiter.name)) {
          break;
        }
        if (anew || each.getValue().version > waiter.since) {
          found.put(change(each.getKey(), each.getValue().value, each.getValue().version));
        }
      }
    }
    for (Map.Entry<String, Long> gone : deletions.entrySet()) {
      if (gone.getValue() > waiter.since && concerns(waiter, gone.getKey())) {
        found.put(change(gone.getKey(), null, gone.getValue()));
      }
    }
    boolean tell = waiter.since > 0 && anew;
    return found.isEmpty() && !tell ? null : changes(found, tell);
  }

  private JSONObject changes(JSONArray found, boolean complete) {
    return new JSONObject()
        .put("changes", found)
        .put("revision", revision)
        // Everything there is, and not only what has changed: what is missing was deleted.
        .put("complete", complete);
  }

  private static JSONObject change(String key, String value, long version) {
    return new JSONObject()
        .put("key", key)
        .put("value", Json.orNull(value))
        .put("version", version);
  }

  private static boolean concerns(Waiter waiter, String key) {
    return waiter.exact ? key.equals(waiter.name) : key.startsWith(waiter.name);
  }

  private List<Waiter> takeWaiters(String key) {
    List<Waiter> taken = new ArrayList<>();
    for (Iterator<Waiter> each = waiters.iterator(); each.hasNext(); ) {
      Waiter waiter = each.next();
      if (concerns(waiter, key)) {
        taken.add(waiter);
        each.remove();
      }
    }
    return taken;
  }

  /** Outside of the lock: who waits goes on in this thread. */
  private void answer(List<Waiter> woken) {
    for (Waiter waiter : woken) {
      JSONObject news;
      synchronized (this) {
        news = news(waiter);
      }
      waiter.answer.complete(news == null ? changes(new JSONArray(), false) : news);
    }
  }

  private static void check(String key) {
    if (key.isEmpty() || key.length() > MOST_KEY) {
      throw new InvalidInput(
          "a key has " + key.length() + " characters; it has to have 1 to " + MOST_KEY);
    }
    if (key.chars().anyMatch(Character::isISOControl)) {
      throw new InvalidInput("a key may hold no control characters");
    }
  }
}
