"""Containers' logs in the task's log, one group for each container's file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.logs.last_words import NODEMANAGER_FILES
from knit_provider.yarn.logs.lines import WholeLines
from knit_provider.yarn.logs.results import RESULT_FILE, combined

MAX_BYTES = 64 * 1024 * 1024
_NOT_SHOWN = (*NODEMANAGER_FILES, RESULT_FILE)
# More than a result may have: what is longer is refused, and need not be kept whole for that.
_RESULT_CHARACTERS = 64 * 1024
_MARKERS = ("::group::", "::endgroup::")


class TaskLog:
    """Writes chunks of logs as whole lines.

    The log of knit-provider's own ApplicationMaster is kept back: it says nothing about the user's command, and its
    last words are in the diagnostics of a failure. What containers wrote to ``$KNIT_RESULT`` is kept for
    :meth:`results`.

    Args:
        write: takes one line.
        tail_lines: how many of the last lines of each container's stderr to remember.
        max_bytes: after so much the rest is left to YARN (default 64 MiB).
        of_any_type: show the containers of no service too, which is what other applications' containers are.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        tail_lines: int,
        max_bytes: int = MAX_BYTES,
        of_any_type: bool = False,
    ) -> None:
        self._write = write
        self._tail_lines = tail_lines
        self._of_any_type = of_any_type
        self.bytes_left = max_bytes
        self._results: dict[str, tuple[str, int, str | None]] = {}
        self._open: tuple[str, str] | None = None
        self._whole = WholeLines()
        self._titles: dict[tuple[str, str], str] = {}
        self._tails: dict[str, deque[str]] = {}

    def add(self, chunk: LogChunk) -> None:
        """Write what the chunk completes; an unfinished last line waits for its rest."""
        if chunk.service is None and not self._of_any_type:
            return
        if chunk.service is not None and chunk.index is not None:
            self._keep_result(chunk, chunk.service, chunk.index)
        if chunk.file in _NOT_SHOWN:
            return
        key = (chunk.container_id, chunk.file)
        whose = "" if chunk.service is None else f"{chunk.service} "
        number = "" if chunk.index is None else f"{chunk.index} "
        self._titles.setdefault(key, f"{whose}{number}{chunk.file} ({chunk.container_id})")
        if lines := self._whole.add(chunk):
            self._lines(key, lines)

    def say(self, line: str) -> None:
        """Write a line that is of no container."""
        self._close_group()
        self._write(line)

    def close(self) -> None:
        """Write what has no newline at its end, and close the last group."""
        for rest in self._whole.rest():
            self._lines((rest.container_id, rest.file), [rest.text])
        self._close_group()

    @property
    def containers(self) -> list[str]:
        """Ids of the containers that wrote something."""
        return sorted({container_id for container_id, _ in self._titles})

    def results(self) -> Any:
        """What the containers wrote to ``$KNIT_RESULT``: the value of one, or a list by index of several; else None.

        Raises:
            KnitError: something is not JSON, or too large.
        """
        return combined((container_id, *found) for container_id, found in self._results.items())

    def tail(self, container_id: str) -> list[str]:
        """The last lines of a container's stderr that have come by."""
        return list(self._tails.get(container_id, ()))

    def _keep_result(self, chunk: LogChunk, service: str, index: int) -> None:
        text = self._results.get(chunk.container_id, (service, index, None))[2]
        if chunk.file == RESULT_FILE:
            text = ((text or "") + chunk.text)[:_RESULT_CHARACTERS]
        self._results[chunk.container_id] = (service, index, text)

    def _lines(self, key: tuple[str, str], lines: list[str]) -> None:
        container_id, file = key
        if file == "stderr" and self._tail_lines > 0:
            self._tails.setdefault(container_id, deque(maxlen=self._tail_lines)).extend(lines)
        if self.bytes_left <= 0:
            return
        if self._open != key:
            self._close_group()
            self._write(f"::group::{self._titles[key]}")
            self._open = key
        for line in lines:
            self.bytes_left -= len(line) + 1
            if self.bytes_left <= 0:
                self.say("The task's log takes no more of the containers' logs; YARN has them whole (knit logs)")
                return
            # A container's own group markers would close ours.
            for marker in _MARKERS:
                line = line.replace(marker, "")
            self._write(line.rstrip("\r"))

    def _close_group(self) -> None:
        if self._open is not None:
            self._write("::endgroup::")
            self._open = None
