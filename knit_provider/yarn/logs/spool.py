"""Log text that may be too large for memory."""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from knit_provider.yarn.errors import KnitError

SPOOL_BYTES = 64 * 1024 * 1024
"""A log file larger than this is kept on disk (64 MB)."""


class SpooledLog:
    """A log file kept on disk because it is larger than :data:`SPOOL_BYTES`.

    It reads like a text: ``len`` is its size in bytes, iterating yields lines, ``str`` loads all of it. The file is
    removed with the object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._finalizer = weakref.finalize(self, _remove, str(path))

    def __len__(self) -> int:
        return self.path.stat().st_size

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[str]:
        with self.open() as f:
            yield from f

    def __str__(self) -> str:
        with self.open() as f:
            return f.read()

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in self)

    def __repr__(self) -> str:
        return f"<SpooledLog of {len(self)} bytes in {self.path}>"

    def open(self) -> io.TextIOWrapper:
        """Open the text for reading; bytes that are not UTF-8 are replaced."""
        return self.path.open(encoding="utf-8", errors="replace", newline="")

    def tail(self, size: int) -> str:
        """The last ``size`` bytes, as text."""
        with self.path.open("rb") as f:
            f.seek(max(0, len(self) - size))
            return f.read().decode("utf-8", "replace")


LogText = str | SpooledLog


class NoRoom(KnitError):
    """This machine cannot keep what was read."""


@contextmanager
def local_disk() -> Iterator[None]:
    """Says of a disk that is full, or not writable, that it is this machine's, and where.

    Raises:
        NoRoom: it is.
    """
    try:
        yield
    except KnitError:  # of which some are OSErrors
        raise
    except OSError as e:
        raise NoRoom(
            f"logs cannot be kept in {tempfile.gettempdir()} on this machine while they are read: {e.strerror or e}. "
            "Make room there, or name another folder with TMPDIR"
        ) from e


def spooled_file() -> BinaryIO:
    """A temporary file whose content :func:`finish` turns into a value."""
    return tempfile.NamedTemporaryFile(prefix="knit-log-", delete=False)  # type: ignore[return-value]


def finish(f: BinaryIO) -> LogText:
    """Close a spooled file and return its text, or a :class:`SpooledLog` where it is too large for memory."""
    f.close()
    return from_path(Path(f.name))


def from_path(path: Path) -> LogText:
    """Take over a file: its text where it fits into memory (the file is removed), else a :class:`SpooledLog`."""
    if path.stat().st_size > SPOOL_BYTES:
        return SpooledLog(path)
    text = path.read_bytes().decode("utf-8", "replace")
    path.unlink()
    return text


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
