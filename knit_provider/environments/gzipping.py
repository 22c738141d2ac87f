"""Gzip on several cores, with the same bytes however many there are."""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

_BLOCK = 1 << 20
_HEADER = b"\x1f\x8b\x08\x00" + b"\0" * 4 + b"\x00\xff"  # no name, no time, no system: nothing that differs by run
_MOST_WORKERS = 8


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""


class ParallelGzip:
    """One gzip member, whose blocks of 1 MiB are deflated side by side (zlib lets go of the interpreter's lock)."""

    def __init__(self, raw: Sink, level: int, workers: int | None = None) -> None:
        """Write the header.

        Args:
            raw: where it goes.
            level: zlib's, 1 to 9.
            workers: threads; default one for each core that this process may use.
        """
        self._raw = raw
        self._level = level
        self._workers = workers or min(_MOST_WORKERS, cores())
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="knit-gzip")
        self._waiting: deque[Future[bytes]] = deque()
        self._buffer = bytearray()
        self._crc = 0
        self._size = 0
        raw.write(_HEADER)

    def write(self, data: bytes) -> int:
        """Take more; some of what came before is written."""
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._buffer += data
        while len(self._buffer) >= _BLOCK:
            self._deflate(bytes(self._buffer[:_BLOCK]), zlib.Z_FULL_FLUSH)
            del self._buffer[:_BLOCK]
        return len(data)

    def close(self) -> None:
        """Write the rest."""
        self._deflate(bytes(self._buffer), zlib.Z_FINISH)
        while self._waiting:
            self._raw.write(self._waiting.popleft().result())
        self._raw.write(struct.pack("<LL", self._crc, self._size & 0xFFFFFFFF))
        self.abandon()

    def abandon(self) -> None:
        """Let the threads go, whatever was not written."""
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deflate(self, block: bytes, flush: int) -> None:
        self._waiting.append(self._pool.submit(_deflated, block, self._level, flush))
        while len(self._waiting) > 2 * self._workers:
            self._raw.write(self._waiting.popleft().result())


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no such call


def _deflated(block: bytes, level: int, flush: int) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(block) + deflate.flush(flush)
