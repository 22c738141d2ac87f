"""What lies in HDFS by its digest, marked when it is used, so that whoever removes what is unused spares it.

::

    <folder>/<sha256>/…             the content, complete or absent
    <folder>/<sha256>/<mark>        its modification time is when it was used last
    <folder>/.condemned/<sha256>    somebody is about to remove it

**Use and removal.** Whoever uses some content marks it before he submits, unless it was used or made less than
:data:`FRESH` ago. From his submission on the application's staging names it. Whoever removes content first reads all
staging, and takes only what was not used for :data:`GRACE`. He condemns it, looks at the mark once more, and deletes.
So one of the two sees the other: a remover who finds a new mark takes his word back, and a user who has made a mark and
finds the content condemned waits for what becomes of it.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import ClassVar

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.files.port import Files, FileStatus, RemoteFileNotFound

_log = logging.getLogger(__name__)

FRESH = 3600.0
"""Seconds for which a mark needs no renewal."""

GRACE = 3 * 3600.0
"""Seconds since its last use for which nothing is removed: its user may be about to submit."""

REMOVAL_SECONDS = 20.0
"""Seconds within which whoever has condemned something removes it, or takes that back."""

CONDEMNED = ".condemned"

# Nobody who condemned it can still be about to delete it after this.
_ABANDONED_SECONDS = 3 * REMOVAL_SECONDS
_LOOK_SECONDS = 0.2
_ENTRIES = 10_000


class UseMarks:
    """The contents below one folder, each in a folder that is named after its digest.

    Args:
        files: the filesystem.
        folder: full URI of the folder.
        now: the time in seconds since the epoch.
    """

    mark: ClassVar[str]
    """The mark's name beside the content."""

    def __init__(self, files: Files, folder: str, now: Callable[[], float] = time.time) -> None:
        self._files = files
        self._folder = folder
        self._now = now

    def condemn(self, digest: str) -> bool:
        """Say that some content is about to be removed; False where somebody else has said so before."""
        marker, ours = self._marker(digest), uuid.uuid4().hex.encode()
        try:
            self._files.write_many(f"{self._folder}/{CONDEMNED}", {digest: ours})
        except KnitError as error:
            # It may be ours all the same: written, and asked for once more after a NameNode was lost with the answer.
            with contextlib.suppress(KnitError):
                if self._files.read(marker) == ours:
                    return True
            _log.info("%s/%s is not removed: %s", self._folder, digest, error)
            there = self._files.status(marker)
            if there is not None and self._now() - there.modified_ms / 1000 > FRESH:
                self._files.delete(marker)  # of somebody who stopped in the middle; the next one may
            return False
        return True

    def pardon(self, digest: str) -> None:
        """Take :meth:`condemn` back."""
        self._files.delete(self._marker(digest))

    def remove(self, digest: str, age: float = GRACE) -> bool:
        """Remove some content unless it was used in the last ``age`` seconds; False where it stays.

        Staging has to be read before: see above.
        """
        began = time.monotonic()
        if not self.condemn(digest):
            return False
        try:
            idle = self.idle(digest)
            if idle is None or idle <= age or time.monotonic() - began > REMOVAL_SECONDS:
                return False
            return self._files.delete(self._place(digest), recursive=True)
        finally:
            self.pardon(digest)

    def idle(self, digest: str) -> float | None:
        """Seconds since some content was used or made; None where there is nothing."""
        entries = self._entries(digest)
        return None if entries is None else self._now() - last_use_ms(entries) / 1000

    def _place(self, digest: str) -> str:
        return f"{self._folder}/{digest}"

    def _marker(self, digest: str) -> str:
        return f"{self._folder}/{CONDEMNED}/{digest}"

    def _entries(self, digest: str) -> Sequence[FileStatus] | None:
        try:
            return self._files.list(self._place(digest), _ENTRIES)
        except RemoteFileNotFound:
            return None

    def _mark(self, digest: str) -> bool:
        """Mark some content as used, and wait until nobody is about to remove it; False if it is gone by now."""
        try:
            self._files.touch(f"{self._place(digest)}/{self.mark}")
        except RemoteFileNotFound:
            return False
        except KnitError as error:
            # Somebody else's, or a full quota: it can be used all the same.
            _log.info("%s is used without a mark: %s", self._place(digest), error)
        self._wait_for_removal(digest)
        return True

    def _wait_for_removal(self, digest: str) -> None:
        begun = time.monotonic()
        while self._files.status(self._marker(digest)) is not None:
            if time.monotonic() - begun > _ABANDONED_SECONDS:
                _log.warning("whoever was removing %s stopped in the middle of it", self._place(digest))
                self.pardon(digest)
            time.sleep(_LOOK_SECONDS)


class UploadCache(UseMarks):
    """Uploaded files by their content; several names of one content lie side by side."""

    # No uploaded file's name begins with a dot.
    mark = ".last-use"

    def use(self, digest: str, remote: str) -> FileStatus | None:
        """An uploaded file that is there and stays there for as long as a submission takes; None where it isn't.

        Where it isn't, it can be put there: nobody is about to remove its folder. One look-up where the content was
        used within the last hour, or is not there at all; else it is marked as used, which takes three calls more.

        Args:
            digest: of its content.
            remote: its full URI, in the digest's folder or below.
        """
        entries = self._entries(digest)
        if entries is not None and self._now() - last_use_ms(entries) / 1000 >= FRESH:
            entries = self._entries(digest) if self._mark(digest) else None
        if entries is None:
            return None
        parent, _, name = remote.rpartition("/")
        if parent != self._place(digest):
            return self._files.status(remote)
        return next((entry for entry in entries if entry.path.rpartition("/")[2] == name), None)


def last_use_ms(entries: Sequence[FileStatus]) -> int:
    """When some content was last used or made, in milliseconds since the epoch."""
    return max((entry.modified_ms for entry in entries), default=0)
