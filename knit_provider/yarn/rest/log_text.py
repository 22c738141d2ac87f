"""The lines that YARN's servers put around the text of a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

_HEADER_END = re.compile(rb"^Log ?Contents:\n", re.MULTILINE)
_HEADER_LENGTH = re.compile(rb"^LogLength:\s*(\d{1,18})\s*$", re.MULTILINE)
_WRAPPED = (b"Container: ", b"LogType:", b"\nLogType:")
_LARGEST_HEADER = 64 * 1024
_NEXT = b"Container: "


def unwrapped(chunks: Iterator[bytes]) -> tuple[int | None, Iterator[bytes]]:
    """Take off the lines that a NodeManager or a history server puts in front of a log.

    Returns:
        The whole file's length and what follows the header. The length is None where there is no such header.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        end = _HEADER_END.search(head)
        if end is not None and head.startswith(_WRAPPED):
            length = _HEADER_LENGTH.search(head[: end.start()])
            if length is not None:
                return int(length[1]), chained(head[end.end() :], chunks)
        if len(head) > _LARGEST_HEADER or not _may_be_wrapped(head):
            break
    if head.startswith(b"End of LogType:"):  # an empty file has a tail and no header
        return 0, iter(())
    return None, chained(head, chunks)


def _may_be_wrapped(head: bytes) -> bool:
    starts = (*_WRAPPED, b"End of LogType:")
    return any(head.startswith(start) or start.startswith(head) for start in starts)


def chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


class NotWrapped(Exception):
    """There are no such lines. Attributes: ``head``, the first bytes of what is there instead."""

    def __init__(self, head: bytes) -> None:
        super().__init__(head)
        self.head = head


def copy_sections(chunks: Iterator[bytes], out: BinaryIO) -> tuple[int, int]:
    """Write what the wrapped parts of an answer hold, one after the other; a log that was rolled comes in several.

    Returns:
        The number of bytes written, and how many more the last header promised.

    Raises:
        NotWrapped: the answer does not begin with a header.
    """
    written = 0
    while True:
        length, content = unwrapped(chunks)
        if length is None:
            raise NotWrapped(next(content, b""))
        left = length
        rest = b""
        for chunk in content:
            piece = chunk[:left]
            out.write(piece)
            written += len(piece)
            left -= len(piece)
            if left == 0:
                rest = chunk[len(piece) :]
                break
        if left:
            return written, left
        following = _after_tail(chained(rest, content))
        if following is None:
            return written, 0
        chunks = following


def _after_tail(chunks: Iterator[bytes]) -> Iterator[bytes] | None:
    """What follows the lines behind a log, from the next header on; None where nothing does."""
    tail = b""
    for chunk in chunks:
        tail += chunk
        at = tail.find(b"\n" + _NEXT)
        if at >= 0:
            return chained(tail[at + 1 :], chunks)
        # Names of files have their limits, so these lines have too.
        tail = tail[-_LARGEST_HEADER:]
    return None
