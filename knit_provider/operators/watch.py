"""Following one application to its end, in a way that ``on_kill`` can interrupt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import Empty
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.logs.chunk import LogChunk, LogCursor
from knit_provider.yarn.logs.reader import DRAIN_SECONDS, LogReader
from knit_provider.yarn.polling import Pace, Patience
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application

SHORTEST_POLL = 0.25


class Woken:
    """Says that somebody called :meth:`Watch.wake`."""


class Pending(str):
    """Says, in a sentence, that the application has waited too long for its first container."""


class Watch:
    """Yields an application's reports and logs as they come, the last report last.

    Airflow's SIGTERM handler runs ``on_kill`` in the main thread and then lets ``execute`` go on where it was. So the
    main thread waits on a queue that the handler may put into at any moment: SimpleQueue alone is safe for that, where
    an Event's lock could be held by the very wait that was interrupted. Logs are read by a thread of their own and
    written by the main thread, which alone talks to Airflow.

    Args:
        app: the application.
        patience: how often it is asked, and what is put up with.
        logs: whether to read the logs too.
        cursor: where an earlier reader of the logs got to.
    """

    def __init__(self, app: Application, patience: Patience, *, logs: bool, cursor: LogCursor | None = None) -> None:
        self._app = app
        self._patience = patience
        self._reader: LogReader[Woken] = LogReader(app, cursor)
        if logs:
            self._reader.start()

    def wake(self) -> None:
        """Make :meth:`events` yield a :class:`Woken` at once; may be called from a signal handler."""
        self._reader.put(Woken())

    def events(self) -> Iterator[ApplicationReport | LogChunk | KnitError | Woken | Pending]:
        """Reports (each new state, then the last), chunks of logs, and what went wrong meanwhile.

        Raises:
            ClusterUnavailable: the cluster did not answer for as long as the patience says.
            KnitError: it refused to answer.
        """
        pace = Pace(self._patience, SHORTEST_POLL)
        next_poll = time.monotonic()
        state = ""
        while True:
            yield from self._until(next_poll)
            try:
                report = self._app.report()
                pace.answered()
            except ClusterUnavailable as e:
                pace.failed(e)
                yield KnitError(f"{e}; asking again")
            else:
                if report.terminal or report.state == UNKNOWN:
                    yield from self._rest_of_logs()
                    yield report
                    return
                if report.state != state:
                    state = report.state
                    yield report
                sentence = self._patience.too_long_pending(report)
                if sentence is not None:
                    yield Pending(sentence)
            next_poll = time.monotonic() + pace.pause()

    def _until(self, moment: float) -> Iterator[LogChunk | KnitError | Woken]:
        while (left := moment - time.monotonic()) > 0:
            try:
                event = self._reader.take(left)
            except Empty:
                return
            if event is not None:
                yield event

    def _rest_of_logs(self) -> Iterator[LogChunk | KnitError | Woken]:
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._reader.going:
            try:
                event = self._reader.take(max(0.0, deadline - time.monotonic()))
            except Empty:
                yield self._reader.late()
                return
            if event is not None:
                yield event
