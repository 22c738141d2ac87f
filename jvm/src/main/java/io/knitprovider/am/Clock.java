package io.knitprovider.am;

/** Where the time comes from, so that tests can move it. */
public interface Clock {

  /** Milliseconds since the epoch: for what people and other machines read. */
  long wallMs();

  /** Milliseconds that only ever grow, from an arbitrary start: for every duration. */
  long monotonicMs();

  /** The machine's own clocks. */
  Clock SYSTEM =
      new Clock() {
        @Override
        public long wallMs() {
          return System.currentTimeMillis();
        }

        @Override
        public long monotonicMs() {
          return System.nanoTime() / 1_000_000L;
        }
      };
}
