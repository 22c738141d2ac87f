"""A piece of a log, as streams yield it."""

from __future__ import annotations

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
