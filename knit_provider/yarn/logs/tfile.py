"""Reads the files that NodeManagers aggregate logs into, in the format that is every Hadoop's default (TFile).

Such a file holds blocks of records, one record a container: its id, and one after the other the names, lengths and
bytes of its logs. An index of the blocks lies at the end. A client that can read HDFS needs no server to find every
container of an application in them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, NoReturn

from knit_provider.yarn.errors import KnitError

_MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
_TAIL = 8 + 4 + len(_MAGIC)
_INDEX = "data:BCFile.index"
_WINDOW = 4 * 2**20
_NOT_CONTAINERS = ("VERSION", "APPLICATION_ACL", "APPLICATION_OWNER")

ReadRange = Callable[[int, int], bytes]
"""Gives so many bytes from an offset on."""


@dataclass(frozen=True)
class LogEntry:
    """One log within the file: of which container, its name and length in bytes."""

    container_id: str
    name: str
    length: int


class TFile:
    """One aggregated file.

    Args:
        name: what errors call it.
        length: of the whole, in bytes.
        read: gives its bytes.

    Raises:
        KnitError: it is in another format, compressed in a way that is not known here, or cut off.
    """

    def __init__(self, name: str, length: int, read: ReadRange) -> None:
        self._name = name
        self._read = read
        if length < _TAIL:
            self._broken("is too short")
        tail = read(length - _TAIL, _TAIL)
        if tail[-len(_MAGIC) :] != _MAGIC:
            self._broken("is in another format than TFile")
        meta = _Bytes(self._stored(struct.unpack(">q", tail[:8])[0], length))
        self._blocks: list[tuple[int, int]] = []
        self._compression = "none"
        self._blocks_of: dict[str, set[int]] | None = None
        for _ in range(meta.vint()):
            name_, compression, (offset, size) = meta.string(), meta.string(), meta.region()
            if name_ == _INDEX:
                index = _Bytes(self._pieces(offset, size, compression))
                self._compression = index.string()
                self._blocks = [index.region() for _ in range(index.vint())]

    def entries(self) -> Iterator[LogEntry]:
        """All logs of all containers."""
        blocks_of: dict[str, set[int]] = {}
        for number in range(len(self._blocks)):
            for entry, _ in self._walk(number):
                blocks_of.setdefault(entry.container_id, set()).add(number)
                yield entry
        self._blocks_of = blocks_of

    def copy(self, container_id: str, name: str, out: BinaryIO) -> int | None:
        """Write a log to ``out``, all pieces of one that was rolled; None where there is no such log."""
        # Whoever has listed the file knows which blocks need not be read.
        known = self._blocks_of
        blocks = range(len(self._blocks)) if known is None else sorted(known.get(container_id, ()))
        written = None
        for entry, content in (found for number in blocks for found in self._walk(number)):
            if (entry.container_id, entry.name) == (container_id, name):
                written = written or 0
                for piece in content():
                    out.write(piece)
                    written += len(piece)
        return written

    def _walk(self, number: int) -> Iterator[tuple[LogEntry, Callable[[], Iterator[bytes]]]]:
        for offset, size in self._blocks[number : number + 1]:
            block = _Bytes(self._pieces(offset, size, self._compression))
            while not block.at_end():
                key = _Bytes(iter([block.take(block.vint())])).utf()
                value = _Bytes(_chunked(block))
                while not value.at_end():
                    if key in _NOT_CONTAINERS:
                        value.drain()
                        continue
                    name = value.utf()
                    text = value.utf()
                    if not text.isdigit():
                        self._broken(f"gives {text!r} as the length of {name}")
                    length = int(text)
                    before = value.position
                    yield LogEntry(key, name, length), partial(value.pieces, length)
                    value.skip(length - (value.position - before))

    def _pieces(self, offset: int, size: int, compression: str) -> Iterator[bytes]:
        stored = self._stored(offset, offset + size)
        if compression not in ("none", "gz"):
            self._broken(f"is compressed with {compression}, which only Hadoop's own classes read here")
        return stored if compression == "none" else _inflated(stored)

    def _stored(self, begin: int, end: int) -> Iterator[bytes]:
        while begin < end:
            piece = self._read(begin, min(_WINDOW, end - begin))
            if not piece:
                self._broken(f"ends at byte {begin} of {end}")
            begin += len(piece)
            yield piece

    def _broken(self, what: str) -> NoReturn:
        raise KnitError(f"the aggregated logs in {self._name} cannot be read: it {what}")


class _Bytes:
    """Java's primitive types, out of pieces that come one by one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""
        self._at = 0
        self.position = 0

    def at_end(self) -> bool:
        return not self._fill()

    def take(self, count: int) -> bytes:
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[bytes]:
        while count > 0:
            if not self._fill():
                raise KnitError(f"an aggregated log file ends {count} bytes too early")
            piece = self._held[self._at : self._at + count]
            self._at += len(piece)
            self.position += len(piece)
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        for _ in self.pieces(count):
            pass

    def drain(self) -> None:
        while self._fill():
            self.position += len(self._held) - self._at
            self._held = b""

    def utf(self) -> str:
        """What ``DataOutput.writeUTF`` wrote: UTF-8, but for NUL and what lies beyond 16 bits."""
        raw = self.take(struct.unpack(">H", self.take(2))[0]).replace(b"\xc0\x80", b"\0")
        return raw.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def string(self) -> str:
        return self.take(self.vint()).decode("utf-8", "replace")

    def region(self) -> tuple[int, int]:
        """Offset and stored size of a block; its plain size is not needed."""
        offset, size, _ = self.vint(), self.vint(), self.vint()
        return offset, size

    def vint(self) -> int:
        """An integer as TFile packs it: the first byte tells how many follow."""
        first: int = struct.unpack(">b", self.take(1))[0]
        if first >= -32:
            return first
        kind = (first + 128) // 8
        if kind >= 7:
            return ((first + 52) << 8) | self.take(1)[0]
        if kind >= 3:
            return ((first + 88) << 16) | int.from_bytes(self.take(2), "big")
        if kind >= 1:
            return ((first + 112) << 24) | int.from_bytes(self.take(3), "big")
        return int.from_bytes(self.take(first + 129), "big", signed=True)

    def _fill(self) -> bool:
        while self._at >= len(self._held):
            following = next(self._pieces, None)
            if following is None:
                return False
            self._held, self._at = following, 0
        return True


def _chunked(block: _Bytes) -> Iterator[bytes]:
    """A value of unknown length: chunks with their lengths, which are negative for all but the last."""
    while True:
        length = block.vint()
        yield from block.pieces(abs(length))
        if length >= 0:
            return


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    # Hadoop calls it gz and writes zlib's format.
    inflating = zlib.decompressobj(zlib.MAX_WBITS | 32)
    for piece in pieces:
        while piece:
            yield inflating.decompress(piece, _WINDOW)
            piece = inflating.unconsumed_tail
    yield inflating.flush()
