package io.knitprovider.gateway;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Passes on the bytes of a log file and nothing else.
 *
 * <p>Hadoop's log readers print for a terminal: per stored section a few header lines
 * ("LogLength:123" among them), then "LogContents:", the bytes, and a footer. A file that was
 * rolled during the run comes in several sections.
 */
final class LogContent extends OutputStream {

  private static final int LONGEST_HEADER_LINE = 64 * 1024;

  private final OutputStream out;
  private final Runnable progress;
  private final ByteArrayOutputStream line = new ByteArrayOutputStream();
  private long announced;
  private long left;
  private long length;
  private int sections;

  LogContent(OutputStream out, Runnable progress) {
    this.out = out;
    this.progress = progress;
  }

  /** Bytes passed on so far. */
  long length() {
    return length;
  }

  int sections() {
    return sections;
  }

  void requireComplete() throws IOException {
    if (left > 0) {
      throw new IOException("the aggregated log ends " + left + " bytes early");
    }
  }

  @Override
  public void write(int value) throws IOException {
    write(new byte[] {(byte) value}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int count) throws IOException {
    progress.run();
    int position = offset;
    int end = offset + count;
    while (position < end) {
      if (left > 0) {
        int part = (int) Math.min(left, end - position);
        out.write(bytes, position, part);
        left -= part;
        length += part;
        position += part;
      } else {
        framing(bytes[position++]);
      }
    }
  }

  private void framing(byte value) throws IOException {
    if (value != '\n') {
      if (line.size() < LONGEST_HEADER_LINE) {
        line.write(value);
      }
      return;
    }
    String text = new String(line.toByteArray(), StandardCharsets.UTF_8);
    line.reset();
    if (text.startsWith("LogLength:")) {
      announced = Long.parseLong(text.substring("LogLength:".length()).trim());
    } else if (text.startsWith("LogContents:")) {
      sections++;
      left = announced;
      announced = 0;
    }
  }

  @Override
  public void flush() throws IOException {
    out.flush();
  }

  /**
   * Hadoop closes what it printed to after each node's file; there may be more to come, and the
   * owner closes the file.
   */
  @Override
  public void close() throws IOException {
    out.flush();
  }
}
