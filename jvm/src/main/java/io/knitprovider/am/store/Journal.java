package io.knitprovider.am.store;

import io.knitprovider.am.Clock;
import io.knitprovider.am.Log;
import io.knitprovider.am.state.JournalSink;
import io.knitprovider.am.state.LateJournal;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.hdfs.protocol.QuotaExceededException;
import org.apache.hadoop.security.AccessControlException;
import org.json.JSONObject;

/**
 * What this attempt has decided, one JSON object per line, for the attempt after it. Entries are
 * taken at once and written by a thread of its own, as many together as have come in, so that a
 * slow filesystem holds up the launches but not the heartbeats. When a file can no longer be
 * written it goes on in another, beginning with the entries that may not have arrived.
 */
public final class Journal implements JournalSink {

  static final String PREFIX = "journal-";

  private static final long MOST_PAUSE_MS = 10_000;

  /** How long the filesystem may be away; as long as YARN waits for a ResourceManager. */
  static final long PATIENCE_MS = 900_000;

  /** A quota may be used up for a moment, by blocks that count as full while they are written. */
  static final long QUOTA_PATIENCE_MS = 120_000;

  /** A decision, or something that waits for all decisions before it to be safe. */
  private static final class Item {
    final byte[] line;
    final Runnable then;

    Item(byte[] line, Runnable then) {
      this.line = line;
      this.then = then;
    }
  }

  private final int attempt;
  private final Clock clock;
  private final Deque<Item> queue = new ArrayDeque<>();
  private Staging staging;
  private Consumer<String> onUnwritable;
  private long written;
  private boolean closing;
  private Thread writer;

  public Journal(int attempt, Clock clock) {
    this.attempt = attempt;
    this.clock = clock;
  }

  /**
   * Begins to write; what came in before follows at once.
   *
   * @param unwritable told once, on the journal's thread, why it is no use waiting for a file that
   *     cannot be written; there are tries all the same
   */
  public synchronized void open(Staging target, Consumer<String> unwritable) {
    staging = target;
    onUnwritable = unwritable;
    writer = new Thread(this::run, "journal");
    writer.setDaemon(true);
    writer.start();
  }

  @Override
  public synchronized void write(JSONObject entry) {
    written++;
    String line = entry.put("n", written) + "\n";
    queue.add(new Item(line.getBytes(StandardCharsets.UTF_8), null));
    notifyAll();
  }

  /** Runs something, on the journal's thread, once all entries before this call are safe. */
  public synchronized void afterFlush(Runnable then) {
    queue.add(new Item(null, then));
    notifyAll();
  }

  /**
   * Waits until all entries before this call are safe.
   *
   * @return false when that takes longer than this
   */
  public boolean awaitFlush(long timeoutMs) throws InterruptedException {
    CountDownLatch flushed = new CountDownLatch(1);
    afterFlush(flushed::countDown);
    return flushed.await(timeoutMs, TimeUnit.MILLISECONDS);
  }

  /**
   * As {@link #awaitFlush}, for who has to answer.
   *
   * @throws LateJournal when it takes longer
   */
  public void mustFlush(long timeoutMs) throws InterruptedException {
    if (!awaitFlush(timeoutMs)) {
      Log.warn("the journal is late: a next attempt may not know of the last change");
      throw new LateJournal(
          "the change is made, but has not been written to HDFS within "
              + timeoutMs / 1000
              + " s: should the ApplicationMaster be restarted now, it may be kept or not. Look at"
              + " what is there before you make it again");
    }
  }

  /** Writes what is left, for at most so long, and ends. */
  public void close(long timeoutMs) throws InterruptedException {
    Thread ending;
    synchronized (this) {
      closing = true;
      ending = writer;
      notifyAll();
    }
    if (ending != null) {
      ending.join(timeoutMs);
    }
  }

  private void run() {
    FSDataOutputStream out = null;
    int part = 1;
    boolean holds = false; // whether the part has entries that are safe
    long pause = 100;
    long failingSince = -1;
    boolean said = false;
    List<Item> batch = new ArrayList<>();
    while (true) {
      try {
        if (batch.isEmpty() && !await(batch)) {
          break;
        }
        if (out == null) {
          part += holds ? 1 : 0;
          holds = false;
          // What a try has left that came to nothing is written over: the entries are all here.
          out = staging.createAnew(staging.path(name(attempt, part)));
        }
        for (Item item : batch) {
          if (item.line != null) {
            out.write(item.line);
          }
        }
        out.hflush();
        holds = true;
        pause = 100;
        failingSince = -1;
      } catch (IOException e) {
        Log.warn("the journal cannot be written, trying again in " + pause + " ms", e);
        failingSince = failingSince < 0 ? clock.monotonicMs() : failingSince;
        if (!said && clock.monotonicMs() - failingSince >= patience(e, out == null)) {
          said = true;
          onUnwritable.accept(Log.describe(e));
        }
        closeQuietly(out);
        out = null;
        if (!sleep(pause)) {
          return;
        }
        pause = Math.min(pause * 2, MOST_PAUSE_MS);
        continue;
      }
      List<Item> done = new ArrayList<>(batch);
      batch.clear();
      done.forEach(Journal::runAfter);
    }
    closeQuietly(out);
  }

  /** Who forbids, or has removed the folder, will not think better of it. */
  private static long patience(IOException error, boolean creating) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof AccessControlException) {
        return 0;
      }
      if (cause instanceof QuotaExceededException) {
        return QUOTA_PATIENCE_MS;
      }
      if (cause instanceof FileNotFoundException && creating) {
        return 0;
      }
    }
    return PATIENCE_MS;
  }

  private static void runAfter(Item item) {
    if (item.then == null) {
      return;
    }
    try {
      item.then.run();
    } catch (RuntimeException e) {
      Log.error("what was to follow a journal entry failed", e);
    }
  }

  private synchronized boolean await(List<Item> batch) {
    try {
      while (queue.isEmpty() && !closing) {
        wait();
      }
    } catch (InterruptedException e) {
      return false;
    }
    batch.addAll(queue);
    queue.clear();
    return !batch.isEmpty();
  }

  private static boolean sleep(long ms) {
    try {
      Thread.sleep(ms);
      return true;
    } catch (InterruptedException e) {
      return false;
    }
  }

  private static void closeQuietly(FSDataOutputStream out) {
    if (out == null) {
      return;
    }
    try {
      out.close();
    } catch (IOException e) {
      Log.debug("closing the journal failed: " + Log.describe(e));
    }
  }

  /** {@code journal-2} for the second attempt; {@code journal-2.2} where it had to begin anew. */
  static String name(int attempt, int part) {
    return PREFIX + attempt + (part == 1 ? "" : "." + part);
  }
}
