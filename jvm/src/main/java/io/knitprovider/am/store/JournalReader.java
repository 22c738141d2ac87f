package io.knitprovider.am.store;

import io.knitprovider.am.Log;
import java.io.BufferedReader;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.json.JSONException;
import org.json.JSONObject;

/** Reads what earlier attempts have left; their files may never have been closed. */
public final class JournalReader {

  private JournalReader() {}

  /**
   * Reads the entries of all attempts before this one, oldest first and one at a time: there may be
   * more of them than memory holds.
   *
   * @param each told every entry; after a throw, all of them again by the next call
   */
  public static void before(int attempt, Staging staging, Consumer<JSONObject> each)
      throws IOException {
    List<int[]> parts = new ArrayList<>();
    for (String name : staging.names(Journal.PREFIX)) {
      int[] part = parse(name);
      if (part != null && part[0] < attempt) {
        parts.add(part);
      }
    }
    parts.sort((a, b) -> a[0] != b[0] ? Integer.compare(a[0], b[0]) : Integer.compare(a[1], b[1]));
    int current = 0;
    long last = 0;
    for (int[] part : parts) {
      if (part[0] != current) {
        current = part[0];
        last = 0;
      }
      try (BufferedReader lines = staging.lines(staging.path(Journal.name(part[0], part[1])))) {
        last = parse(lines, last, each);
      } catch (FileNotFoundException e) {
        Log.warn("a part of the journal is gone", e);
      }
    }
  }

  /**
   * Tells the entries of one file.
   *
   * @param last number of the attempt's last entry so far: a new part repeats some of the old one's
   * @return number of its last entry now
   */
  private static long parse(BufferedReader lines, long last, Consumer<JSONObject> each)
      throws IOException {
    long newest = last;
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (line.isEmpty()) {
        continue;
      }
      JSONObject entry;
      try {
        entry = new JSONObject(line);
      } catch (JSONException e) {
        // The last line of an attempt that was killed while it wrote. Whatever was to follow the
        // entry waited for the whole line, so nothing has come of it.
        Log.info("skipping a journal line that was never finished");
        continue;
      }
      long number = entry.optLong("n", 0);
      if (number > newest) {
        newest = number;
        each.accept(entry);
      }
    }
    return newest;
  }

  private static int[] parse(String name) {
    String[] numbers = name.substring(Journal.PREFIX.length()).split("\\.");
    try {
      return new int[] {
        Integer.parseInt(numbers[0]), numbers.length > 1 ? Integer.parseInt(numbers[1]) : 1
      };
    } catch (NumberFormatException e) {
      return null;
    }
  }
}
