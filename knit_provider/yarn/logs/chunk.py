"""A piece of a log, as streams yield it, and how far a stream has got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LogChunk:
    """Text of one log file, in its order and without gaps.

    Attributes:
        container_id: YARN container id.
        service: name of the service; None for the ApplicationMaster and for applications of other types.
        index: the instance's number within the service, or None.
        file: ``stdout``, ``stderr`` or another name.
        text: what was written. A chunk may end within a line.
    """

    container_id: str
    service: str | None
    index: int | None
    file: str
    text: str


class LogCursor(dict[tuple[str, str], int]):
    """How many bytes of each log were read already, by container id and file name.

    It can be kept as JSON, so that another process goes on where this one stopped.
    """

    def to_dict(self) -> dict[str, int]:
        """As JSON can hold it: ``{"container_.../stdout": 120}``."""
        return {f"{container_id}/{name}": length for (container_id, name), length in self.items()}

    @classmethod
    def from_dict(cls, kept: Mapping[str, int] | None) -> LogCursor:
        """What :meth:`to_dict` gave, or a cursor at the beginning of everything."""
        cursor = cls()
        for key, length in (kept or {}).items():
            container_id, _, name = key.partition("/")
            cursor[container_id, name] = int(length)
        return cursor
