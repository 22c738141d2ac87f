"""Whole lines out of chunks that end anywhere."""

from __future__ import annotations

from dataclasses import replace

from knit_provider.yarn.logs.chunk import LogChunk

# A line that is longer, as of a container that writes no newline at all, is not waited for to its end.
_LONGEST_LINE = 1024 * 1024


class WholeLines:
    """The lines of any number of logs, each by itself."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], LogChunk] = {}

    def add(self, chunk: LogChunk) -> list[str]:
        """The lines that this chunk ends, without their newlines; the one it begins waits, up to a mebibyte of it."""
        key = (chunk.container_id, chunk.file)
        begun = self._begun.pop(key, None)
        *lines, rest = ((begun.text if begun else "") + chunk.text).split("\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
        elif rest:
            self._begun[key] = replace(chunk, text=rest)
        return lines

    def rest(self) -> list[LogChunk]:
        """The lines that nothing has ended, which wait no longer."""
        rest = list(self._begun.values())
        self._begun.clear()
        return rest
