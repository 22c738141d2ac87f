"""Local files on their way out: read once, digested, and not allowed to change meanwhile."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files.memo import Facts, Identity, Memo

_PIECE = 1024 * 1024

# A file that was written this short a time ago may be written again without a new modification time.
_RACY_NS = 2_000_000_000


def inspect(path: str | os.PathLike[str]) -> os.stat_result:
    """The status of a local file that can be read; links are followed.

    Raises:
        ConfigurationError: it is missing, unreadable, or neither file nor folder; the message names it.
    """
    name = os.fspath(path)
    try:
        found = os.stat(name)
    except FileNotFoundError:
        reason = "is a link to nothing" if os.path.islink(name) else "does not exist"
        raise ConfigurationError(f"the local file {name} {reason} (working folder: {os.getcwd()})") from None
    except OSError as error:
        raise ConfigurationError(f"the local file {name} cannot be looked at: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{name} is {_special(found.st_mode)}; only files and folders can be shipped")
    folder = stat.S_ISDIR(found.st_mode)
    if not os.access(name, os.R_OK | os.X_OK if folder else os.R_OK):
        kind = "folder" if folder else "file"
        raise ConfigurationError(f"the local {kind} {name} cannot be read: permission denied")
    return found


def identity_of(found: os.stat_result) -> Identity:
    """The identity that a file's status tells."""
    return Identity(found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino)


def _special(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((words for test, words in kinds if test(mode)), "no file")


def digest_of(content: bytes) -> str:
    """SHA-256 of some bytes, as hex digits."""
    return hashlib.sha256(content).hexdigest()


class LocalContent:
    """Bytes to upload: of a file, digested while they are read, or of memory. Use it as a context manager.

    Attributes:
        name: what errors call it.
    """

    def __init__(
        self,
        name: str,
        source: BinaryIO,
        size: int,
        look: Callable[[], Identity] | None,
        moved: Callable[[int], object] | None = None,
    ) -> None:
        self.name = name
        self._moved = moved
        self._source = source
        self._size = size
        self._look = look
        self._before = look() if look else None
        self._left = size
        self._hash = hashlib.sha256()
        self._digesting: Future[None] | None = None
        self._pool: ThreadPoolExecutor | None = None

    @classmethod
    def of_bytes(cls, content: bytes) -> LocalContent:
        """Content in memory."""
        return cls("content", io.BytesIO(content), len(content), None)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str], moved: Callable[[int], object] | None = None) -> LocalContent:
        """A local file.

        Args:
            path: of the file; links are followed.
            moved: told of bytes as they are read.

        Raises:
            ConfigurationError: it cannot be read, or is no file.
        """
        name = os.fspath(path)
        found = inspect(name)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"{name} is a folder, not a file")
        try:
            source = open(name, "rb")  # noqa: SIM115 - closed by the context manager that this makes
        except OSError as error:
            raise ConfigurationError(f"the local file {name} cannot be read: {error.strerror}") from error
        size = os.fstat(source.fileno()).st_size

        def look() -> Identity:
            # By name, so that a file that was replaced shows as well as one that was written to.
            return identity_of(inspect(name))

        return cls(name, source, size, look, moved)

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """The next bytes, never more than the file had when it was opened."""
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._source.read(wanted)
        if len(content) < wanted:
            raise self._changed()
        self._left -= len(content)
        self._digested()
        if len(content) < _PIECE:
            self._hash.update(content)
        else:
            # While the reader sends it: digesting a gigabyte takes as long as sending it.
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="knit-digest")
            self._digesting = self._pool.submit(self._hash.update, content)
        if self._moved is not None:
            self._moved(len(content))
        return content

    def rewind(self) -> None:
        """Begin again."""
        if self._moved is not None and self._left < self._size:
            self._moved(self._left - self._size)
        self._digested()
        self._source.seek(0)
        self._left = self._size
        self._hash = hashlib.sha256()

    def digest(self) -> str:
        """SHA-256 of everything, as hex digits; reads what was not read yet."""
        while self._left:
            self.read(_PIECE)
        self._digested()
        return self._hash.hexdigest()

    def check_unchanged(self, sha256: str | None = None) -> None:
        """Make sure that what was read is one state of the file.

        Raises:
            ConfigurationError: the file changed since it was opened, or has another digest than ``sha256``.
        """
        if self._look is not None and self._look() != self._before:
            raise self._changed()
        if sha256 is not None and self.digest() != sha256.lower():
            raise self._changed()

    def _digested(self) -> None:
        """Wait until all that was read is in the digest."""
        if self._digesting is not None:
            self._digesting.result()
            self._digesting = None

    def _changed(self) -> ConfigurationError:
        return ConfigurationError(
            f"the local file {self.name} changed while it was read; nothing was published. Try again once nothing "
            "writes to it"
        )

    def __enter__(self) -> LocalContent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False)


class Digests:
    """Digests of local files, remembered for as long as the files look the same. Safe for several threads.

    Args:
        memo: remembers those of large files beyond this process; None (the default): nothing does.
    """

    def __init__(self, memo: Memo | None = None) -> None:
        self._known: dict[str, tuple[Identity, Facts]] = {}
        self._memo = memo
        self._lock = threading.Lock()

    def of(self, path: str | os.PathLike[str]) -> tuple[str, int]:
        """SHA-256 (hex digits) and size of a file.

        Raises:
            ConfigurationError: it cannot be read, or changed while it was.
        """
        name = os.path.realpath(path)
        with LocalContent.of_file(name) as content:
            identity = identity_of(os.stat(name))
            known = self.facts(name)
            if known is not None:
                return known.digest, identity.size
            digest = content.digest()
            content.check_unchanged()
        if time.time_ns() - identity.modified_ns > _RACY_NS:
            self._remember(name, identity, Facts(digest))
        return digest, identity.size

    def facts(self, path: str | os.PathLike[str]) -> Facts | None:
        """What is known of a file without reading it."""
        name = os.path.realpath(path)
        identity = identity_of(inspect(name))
        with self._lock:
            known = self._known.get(name)
        if known is not None and known[0] == identity:
            return known[1]
        facts = self._memo.find(name, identity) if self._memo is not None else None
        if facts is not None:
            with self._lock:
                self._known[name] = (identity, facts)
        return facts

    def learn(self, path: str | os.PathLike[str], digest: str, as_tar: tuple[str, int] | None = None) -> None:
        """Take facts about a file from somebody who has read it as it is now."""
        name = os.path.realpath(path)
        self._remember(name, identity_of(inspect(name)), Facts(digest, as_tar))

    def _remember(self, name: str, identity: Identity, facts: Facts) -> None:
        with self._lock:
            self._known[name] = (identity, facts)
        if self._memo is not None and time.time_ns() - identity.modified_ns > _RACY_NS:
            self._memo.note(name, identity, facts)
