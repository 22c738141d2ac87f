"""Reads an application's logs beside a wait: one thread reads, and the one that waits writes."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.logs.chunk import LogChunk, LogCursor

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application

DRAIN_SECONDS = 90.0
"""How long to wait for what was written in the last moments: the cluster collects it after the end."""

# How far the reader may be ahead of the writer: a container may write faster than an orchestrator logs.
CHUNKS_AHEAD = 64

E = TypeVar("E")


class LogTrouble(KnitError):
    """The logs could not be read to their end."""


class LogReader(Generic[E]):
    """Follows the logs of one application to their end.

    Args:
        app: the application.
        cursor: where an earlier reader got to; default at the beginning.

    Attributes:
        going: whether more of the logs may come.
    """

    def __init__(self, app: Application, cursor: LogCursor | None = None) -> None:
        self._app = app
        self._cursor = LogCursor() if cursor is None else cursor
        self._events: SimpleQueue[LogChunk | LogTrouble | E | None] = SimpleQueue()
        self._room = threading.Semaphore(CHUNKS_AHEAD)
        self.going = False

    def start(self) -> None:
        """Begin to read."""
        self.going = True
        threading.Thread(target=self._read, name=f"logs-{self._app.id}", daemon=True).start()

    def put(self, event: E) -> None:
        """Have :meth:`take` return something else in between; may be called from a signal handler."""
        self._events.put(event)

    def take(self, timeout: float) -> LogChunk | LogTrouble | E | None:
        """The next piece, what went wrong, or what was put; None where the logs are at their end.

        Args:
            timeout: seconds to wait for it.

        Raises:
            queue.Empty: there is nothing yet.
        """
        event = self._events.get(timeout=timeout)
        if event is None:
            self.going = False
        elif isinstance(event, LogChunk):
            self._room.release()
        return event

    def late(self) -> LogTrouble:
        """That the logs have not come to their end in time."""
        return LogTrouble(f"the logs were not complete after {DRAIN_SECONDS:g} s; see: knit logs {self._app.id}")

    def _read(self) -> None:
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
