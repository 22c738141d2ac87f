"""Following one application to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, NoReturn

from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, WaitTimeout
from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.logs.reader import DRAIN_SECONDS, LogReader, LogTrouble
from knit_provider.yarn.polling import Pace, Patience
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.prefect.run_log import RunLog
    from knit_provider.yarn.application import Application

SHORTEST_POLL = 0.25
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
        self._reader: LogReader[NoReturn] = LogReader(app)

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
        if self._lines is not None:
            self._reader.start()
        pace = Pace(Patience(self._poll_interval), SHORTEST_POLL)
        deadline = None if timeout is None else pace.began + timeout
        while True:
            try:
                report = self._app.report()
                pace.answered()
            except ClusterUnavailable as e:
                pace.failed(e)
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
            moment = now + pace.pause()
            self._write_until(moment if deadline is None else min(deadline, moment))

    def _write_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            with suppress(Empty):
                self._write(self._reader.take(min(left, LONGEST_SLEEP)))

    def _rest_of_logs(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._reader.going:
            try:
                self._write(self._reader.take(LONGEST_SLEEP))
            except Empty:
                if time.monotonic() > deadline:
                    self._write(self._reader.late())
                    return

    def _write(self, event: LogChunk | LogTrouble | None) -> None:
        if isinstance(event, LogTrouble):
            self._trouble(f"{self._app.id}: {event}")
        elif event is not None and self._lines is not None:
            self._lines.add(event)
