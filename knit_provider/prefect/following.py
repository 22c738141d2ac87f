"""Following one application to its end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from knit_provider.yarn.application import POLL_ERRORS_SECONDS
from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, KnitError, WaitTimeout
from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.prefect.run_log import RunLog
    from knit_provider.yarn.application import Application

SHORTEST_POLL = 0.25
LOG_DRAIN_SECONDS = 90.0
# How far the reader of logs may be ahead of the writer.
CHUNKS_AHEAD = 64
# Prefect ends a run in a thread by an exception, which waits for the thread's next Python instruction.
LONGEST_SLEEP = 0.5


class Follower:
    """Waits for an application's end and writes its logs on the way.

    Logs are read by a thread of their own and written by the thread that waits.

    Args:
        app: the application.
        poll_interval: longest time between two looks, in seconds; the first ones are closer.
        lines: where the logs go; None reads none.
        trouble: called with a sentence about what goes wrong and is tried again.
    """

    def __init__(
        self, app: Application, *, poll_interval: float, lines: RunLog | None, trouble: Callable[[str], object]
    ) -> None:
        self._app = app
        self._poll_interval = poll_interval
        self._lines = lines
        self._trouble = trouble
        self._events: SimpleQueue[LogChunk | str | None] = SimpleQueue()
        self._room = threading.Semaphore(CHUNKS_AHEAD)
        self._reading = lines is not None

    def run(self, timeout: float | None, each: Callable[[ApplicationReport], object]) -> ApplicationReport:
        """Wait for any terminal state and return its report.

        Args:
            timeout: seconds; None waits to the end.
            each: called with every report; what it raises ends the wait.

        Raises:
            WaitTimeout: after ``timeout``.
            ApplicationNotFound: nobody knows how it ended.
            ClusterUnavailable: the cluster did not answer for 300 s.
        """
        if self._reading:
            threading.Thread(target=self._read_logs, name=f"logs-{self._app.id}", daemon=True).start()
        began = time.monotonic()
        deadline = None if timeout is None else began + timeout
        trouble_since: float | None = None
        while True:
            try:
                report = self._app.report()
                trouble_since = None
            except ClusterUnavailable as e:
                trouble_since = time.monotonic() if trouble_since is None else trouble_since
                if time.monotonic() - trouble_since > POLL_ERRORS_SECONDS:
                    raise
                self._trouble(f"{self._app.id}: {e}; asking again")
            else:
                each(report)
                if report.terminal:
                    self._rest_of_logs()
                    return report
                if report.state == UNKNOWN:
                    raise ApplicationNotFound(
                        f"{self._app.id}: the ResourceManager has forgotten it and the ledger holds no outcome, so how "
                        f"it ended is unknown (this is no failure). Its logs may tell: knit logs {self._app.id}"
                    )
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise WaitTimeout(f"{self._app.id} has not ended within {timeout:g} s")
            pause = min(self._poll_interval, max(SHORTEST_POLL, (now - began) / 10))
            pause *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
            self._write_until(now + pause if deadline is None else min(deadline, now + pause))

    def _write_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            try:
                self._write(self._events.get(timeout=min(left, LONGEST_SLEEP)))
            except Empty:
                continue

    def _rest_of_logs(self) -> None:
        """What was written in the last moments: the cluster collects it after the end."""
        deadline = time.monotonic() + LOG_DRAIN_SECONDS
        while self._reading:
            try:
                self._write(self._events.get(timeout=LONGEST_SLEEP))
            except Empty:
                if time.monotonic() > deadline:
                    self._trouble(
                        f"the logs were not complete after {LOG_DRAIN_SECONDS:g} s; see: knit logs {self._app.id}"
                    )
                    return

    def _write(self, event: LogChunk | str | None) -> None:
        if event is None:
            self._reading = False
        elif isinstance(event, LogChunk):
            self._room.release()
            if self._lines is not None:
                self._lines.add(event)
        else:
            self._trouble(event)

    def _read_logs(self) -> None:
        try:
            for chunk in self._app.iter_logs(follow=True):
                self._room.acquire()
                self._events.put(chunk)
        except KnitError as e:
            self._events.put(f"the logs of {self._app.id} cannot be followed any further: {e}")
        except Exception as e:
            self._events.put(f"the logs of {self._app.id} cannot be followed any further: {type(e).__name__}: {e}")
        finally:
            self._events.put(None)
