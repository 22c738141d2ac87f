"""Following one application to its end, in a way that ``on_kill`` can interrupt."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from knit_provider.hooks.polling import Pace, Patience
from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.logs.chunk import LogChunk, LogCursor
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application

SHORTEST_POLL = 0.25
LOG_DRAIN_SECONDS = 90.0
# How far the reader of logs may be ahead of the writer: a container may write faster than Airflow logs.
CHUNKS_AHEAD = 64


class Woken:
    """Says that somebody called :meth:`Watch.wake`."""


class LogTrouble(KnitError):
    """The logs could not be read to their end."""


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
        self._cursor = LogCursor() if cursor is None else cursor
        self._events: SimpleQueue[LogChunk | KnitError | Woken | None] = SimpleQueue()
        self._room = threading.Semaphore(CHUNKS_AHEAD)
        self._reading = logs
        if logs:
            threading.Thread(target=self._read_logs, name=f"logs-{app.id}", daemon=True).start()

    def wake(self) -> None:
        """Make :meth:`events` yield a :class:`Woken` at once; may be called from a signal handler."""
        self._events.put(Woken())

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
                event = self._events.get(timeout=left)
            except Empty:
                return
            if event is None:
                self._reading = False
            else:
                yield self._taken(event)

    def _rest_of_logs(self) -> Iterator[LogChunk | KnitError | Woken]:
        """What was written in the last moments: the cluster collects it after the end."""
        deadline = time.monotonic() + LOG_DRAIN_SECONDS
        while self._reading:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                yield LogTrouble(
                    f"the logs were not complete after {LOG_DRAIN_SECONDS:g} s; see: knit logs {self._app.id}"
                )
                return
            if event is None:
                return
            yield self._taken(event)

    def _taken(self, event: LogChunk | KnitError | Woken) -> LogChunk | KnitError | Woken:
        if isinstance(event, LogChunk):
            self._room.release()
        return event

    def _read_logs(self) -> None:
        try:
            for chunk in self._app.iter_logs(follow=True, cursor=self._cursor):
                self._room.acquire()
                self._events.put(chunk)
        except KnitError as e:
            self._events.put(LogTrouble(f"the logs cannot be followed any further: {e}"))
        except Exception as e:
            self._events.put(LogTrouble(f"the logs cannot be followed any further: {type(e).__name__}: {e}"))
        finally:
            self._events.put(None)
