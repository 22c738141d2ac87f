"""Containers' logs in a run's log."""

from __future__ import annotations

import logging
from collections import deque

from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.logs.last_words import NODEMANAGER_FILES
from knit_provider.yarn.logs.lines import WholeLines
from knit_provider.yarn.logs.results import RESULT_FILE

# Prefect's server stores each record by itself and refuses one of more than 1 MB, so lines travel together.
RECORD_BYTES = 32 * 1024
MAX_BYTES = 16 * 1024 * 1024
# The last is our own carrier of results.
_NOT_SHOWN = (*NODEMANAGER_FILES, RESULT_FILE)


class RunLog:
    """Writes chunks of logs as whole lines, each with the service and the number of its container before it.

    The ApplicationMaster's own log is kept back: its last words are in the diagnostics of a failure.

    Args:
        logger: Prefect's logger of the run.
        tail_lines: how many of the last lines of each container's stderr to remember.
        max_bytes: after so much the rest is left to YARN (default 16 MiB).
    """

    def __init__(
        self,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        *,
        tail_lines: int,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._logger = logger
        self._left = max_bytes
        self._tail_lines = tail_lines
        self._whole = WholeLines()
        self._tails: dict[str, deque[str]] = {}

    def add(self, chunk: LogChunk) -> None:
        """Write what the chunk completes; an unfinished last line waits for its rest."""
        if chunk.service is None or chunk.file in _NOT_SHOWN:
            return
        self._write(chunk, self._whole.add(chunk))

    def close(self) -> None:
        """Write what has no newline at its end."""
        for rest in self._whole.rest():
            self._write(rest, [rest.text])

    def tail(self, container_id: str | None = None) -> list[str]:
        """The last lines of stderr that have come by: of one container, or of the one that wrote last."""
        if container_id is None:
            container_id = next(reversed(self._tails), "")
        return list(self._tails.get(container_id, ()))

    def _write(self, chunk: LogChunk, lines: list[str]) -> None:
        if not lines:
            return
        if chunk.file == "stderr" and self._tail_lines > 0:
            tail = self._tails.pop(chunk.container_id, None) or deque(maxlen=self._tail_lines)
            tail.extend(lines)
            self._tails[chunk.container_id] = tail
        number = "" if chunk.index is None else f" {chunk.index}"
        before = f"{chunk.service}{number}{'' if chunk.file == 'stdout' else f' {chunk.file}'}: "
        record: list[str] = []
        size = 0
        for line in lines:
            if self._left <= 0:
                break
            line = before + line.rstrip("\r")
            if len(line) > RECORD_BYTES:
                line = line[:RECORD_BYTES] + " ..."
            if size + len(line) > RECORD_BYTES:
                self._logger.info("%s", "\n".join(record))
                record, size = [], 0
            record.append(line)
            size += len(line) + 1
            self._left -= len(line) + 1
            if self._left <= 0:
                record.append("The run's log takes no more of the containers' logs; YARN has them whole (knit logs)")
        if record:
            # As an argument, since the text may hold '%'.
            self._logger.info("%s", "\n".join(record))
