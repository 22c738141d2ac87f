package io.knitprovider.am;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Loads, on a second processor, the classes that the start will need: most of a start is loading
 * classes, one after the other. They are loaded and not initialized, which runs none of their code
 * and so cannot block or be blocked by whoever needs one at this moment.
 */
public final class Warmup {

  /** In the order of their use; {@code devtools/am_classes.py} writes it. */
  private static final String LIST = "classes.txt";

  private Warmup() {}

  /** Begins, in a thread of its own. */
  static void start() {
    Thread thread = new Thread(Warmup::load, "warm-up");
    thread.setDaemon(true);
    thread.start();
  }

  private static void load() {
    try {
      for (String name : names()) {
        load(name);
      }
    } catch (IOException e) {
      Log.debug("no list of classes: " + e);
    }
  }

  /** Loads a class, if this Hadoop and this Java have it. */
  public static void load(String name) {
    try {
      Class.forName(name, false, Warmup.class.getClassLoader());
    } catch (ClassNotFoundException | LinkageError e) {
      Log.debug("there is no " + name);
    }
  }

  /** The classes that a start needs. */
  public static List<String> names() throws IOException {
    List<String> names = new ArrayList<>();
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(
                Warmup.class.getResourceAsStream(LIST), StandardCharsets.UTF_8))) {
      for (String name = lines.readLine(); name != null; name = lines.readLine()) {
        names.add(name);
      }
    }
    return names;
  }
}
