"""Packed environments in HDFS: found by their digest, marked when they are used, and never changed.

::

    <home>/.knitDeps/envs/<sha256>/<name>.tar.gz      the archive, complete or absent
    <home>/.knitDeps/envs/<sha256>/environment.json   what it holds
    <home>/.knitDeps/envs/<sha256>/last-use           its modification time is when it was used last
    <home>/.knitDeps/envs/.condemned/<sha256>         somebody is about to remove it

**Use and removal.** Whoever uses an environment marks it before he submits, unless its mark is younger than
:data:`FRESH`. From his submission on the application's staging names it. Whoever removes environments first reads all
staging, and takes only what has no mark younger than :data:`GRACE`. He condemns it, looks at the mark once more, and
deletes. So one of the two sees the other: a remover who finds a new mark takes his word back, and a user who has made a
mark and finds the environment condemned waits for what becomes of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files import archives
from knit_provider.yarn.files.port import Files, FileStatus, Moved, RemoteFileNotFound
from knit_provider.yarn.submission.staging import ENVIRONMENTS, FOLDER

_log = logging.getLogger(__name__)

FRESH = 3600.0
"""Seconds for which a last-use mark needs no renewal."""

GRACE = 3 * 3600.0
"""Seconds since its last use for which nothing is removed: its user may be about to submit."""

REMOVAL_SECONDS = 20.0
"""Seconds within which whoever has condemned an environment removes it, or takes that back."""

DESCRIPTION = "environment.json"
LAST_USE = "last-use"
CONDEMNED = ".condemned"

# Nobody who condemned it can still be about to delete it after this.
_ABANDONED_SECONDS = 3 * REMOVAL_SECONDS
_LOOK_SECONDS = 0.2
_ENTRIES = 10_000
_IN_CACHE = re.compile(rf"(?P<envs>.*/{re.escape(FOLDER)}/{ENVIRONMENTS})/(?P<digest>[0-9a-f]{{64}})/.+", re.ASCII)


@dataclass(frozen=True)
class CachedEnvironment:
    """An environment's folder in HDFS, as it was when somebody looked.

    Attributes:
        digest: SHA-256 of the archive.
        folder: full URI of its folder.
        archive: None where no archive has arrived yet.
        used_ms: when it was last used or uploaded, in milliseconds since the epoch.
        described: whether there is a description.
        copies: URIs of folders with further copies, which ``upload_always`` made.
    """

    digest: str
    folder: str
    archive: FileStatus | None
    used_ms: int
    described: bool
    copies: tuple[str, ...] = ()

    def idle(self, now: float) -> float:
        """Seconds since its last use; ``now`` in seconds since the epoch."""
        return now - self.used_ms / 1000


class EnvironmentCache:
    """The packed environments below one folder.

    Args:
        files: the filesystem.
        envs: full URI of the folder.
        now: the time in seconds since the epoch.
    """

    def __init__(self, files: Files, envs: str, now: Callable[[], float] = time.time) -> None:
        self._files = files
        self.envs = envs
        self._now = now

    @classmethod
    def of_uri(cls, files: Files, uri: str) -> tuple[EnvironmentCache, str] | None:
        """The cache that an archive's URI is in, whoever's, and the digest; None for a URI that is elsewhere."""
        found = _IN_CACHE.fullmatch(uri)
        return (cls(files, found["envs"]), found["digest"]) if found else None

    def look(self, digest: str) -> CachedEnvironment | None:
        """What there is of an environment; one look-up. None where there is nothing."""
        folder = f"{self.envs}/{digest}"
        try:
            entries = self._files.list(folder, _ENTRIES)
        except RemoteFileNotFound:
            return None
        return _described(digest, folder, entries)

    def use(self, digest: str) -> CachedEnvironment | None:
        """An environment that is there and stays there for as long as a submission takes; None where it isn't.

        One look-up where it was used within the last hour; else it is marked as used, which takes three calls more.
        """
        found = self.look(digest)
        if found is None or found.archive is None:
            return None
        if found.idle(self._now()) < FRESH:
            return found
        try:
            self._files.touch(f"{found.folder}/{LAST_USE}")
        except RemoteFileNotFound:
            return None  # removed at this moment
        except KnitError as error:
            # Somebody else's, or a full quota: it can be used all the same.
            _log.info("%s is used without a mark: %s", found.folder, error)
        return self._spared(digest)

    def place(self, digest: str, name: str, *, beside: bool = False) -> str:
        """Where an archive goes.

        Args:
            digest: of its content.
            name: its name in HDFS, with its ending.
            beside: there is one already. Nothing ever replaces one: running applications know its time.
        """
        return f"{self.envs}/{digest}/{uuid.uuid4().hex}/{name}" if beside else f"{self.envs}/{digest}/{name}"

    def put(
        self,
        local: Path,
        target: str,
        digest: str,
        *,
        replication: int | None = None,
        description: Mapping[str, Any] | None = None,
        moved: Moved | None = None,
        approved: Callable[[], object] | None = None,
    ) -> FileStatus:
        """Upload an archive, complete or not at all; somebody else's equal one is as good.

        Args:
            local: the archive.
            target: from :meth:`place`.
            digest: of its content, which is compared while it is read.
            replication: copies of each block.
            description: goes into a file beside it.
            moved, approved: as in :meth:`~knit_provider.yarn.files.port.Files.put`.
        """
        folder = self._claimed(digest)
        with _Describing(self._files, folder, description if target.rpartition("/")[0] == folder else None):
            return self._files.put(local, target, digest, replication, moved, approved)

    def condemn(self, digest: str) -> bool:
        """Say that an environment is about to be removed; False where somebody else has said so before."""
        marker, ours = self._marker(digest), uuid.uuid4().hex.encode()
        try:
            self._files.write_many(f"{self.envs}/{CONDEMNED}", {digest: ours})
        except KnitError as error:
            # It may be ours all the same: written, and asked for once more after a NameNode was lost with the answer.
            with contextlib.suppress(KnitError):
                if self._files.read(marker) == ours:
                    return True
            _log.info("%s/%s is not removed: %s", self.envs, digest, error)
            there = self._files.status(marker)
            if there is not None and self._now() - there.modified_ms / 1000 > FRESH:
                self._files.delete(marker)  # of somebody who stopped in the middle; the next one may
            return False
        return True

    def pardon(self, digest: str) -> None:
        """Take :meth:`condemn` back."""
        self._files.delete(self._marker(digest))

    def _marker(self, digest: str) -> str:
        return f"{self.envs}/{CONDEMNED}/{digest}"

    def _claimed(self, digest: str) -> str:
        """The folder for an upload, with a mark, so that nobody takes it for one left behind without an archive."""
        folder = f"{self.envs}/{digest}"
        for _ in range(3):
            self._files.mkdirs(folder)
            with contextlib.suppress(RemoteFileNotFound):
                self._files.touch(f"{folder}/{LAST_USE}")
                self._wait_for_removal(digest)
                if self._files.status(folder) is not None:
                    return folder
        raise KnitError(f"{folder} is removed again and again while it is to be filled; by whom?")

    def _spared(self, digest: str) -> CachedEnvironment | None:
        """What is left when nobody is about to remove it any more."""
        self._wait_for_removal(digest)
        found = self.look(digest)
        return None if found is None or found.archive is None else found

    def _wait_for_removal(self, digest: str) -> None:
        begun = time.monotonic()
        while self._files.status(self._marker(digest)) is not None:
            if time.monotonic() - begun > _ABANDONED_SECONDS:
                _log.warning("whoever was removing %s/%s stopped in the middle of it", self.envs, digest)
                self.pardon(digest)
            time.sleep(_LOOK_SECONDS)


class _Describing:
    """Writes the description while the archive goes up: HDFS may take half a second to be sure of a small file."""

    def __init__(self, files: Files, folder: str, description: Mapping[str, Any] | None) -> None:
        self._files = files
        self._folder = folder
        self._content = json.dumps(dict(description)).encode() if description else b""
        self._thread = threading.Thread(target=self._write, name="knit-describe", daemon=True)

    def _write(self) -> None:
        try:
            self._files.write_many(self._folder, {DESCRIPTION: self._content})
        except KnitError as error:
            # Somebody else writes the same one. It is for people; nothing depends on it.
            _log.debug("no description in %s: %s", self._folder, error)

    def __enter__(self) -> None:
        if self._content:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        if self._content:
            self._thread.join()


def open_to_readers(archive: FileStatus) -> bool:
    """Whether somebody made an archive readable for all. Object stores, which have no modes, show all as writable."""
    return int(archive.permission, 8) & 0o006 == 0o004


def is_public(files: Files, archive: FileStatus) -> bool:
    """Whether everybody can read an archive, so that all users of a node may share what is unpacked from it.

    YARN wants the file readable and every folder above it enterable for all.
    """
    if not open_to_readers(archive):
        return False
    root, path = split_root(archive.path)
    for parent in parents_of(path):
        try:
            found = files.status(root + parent)
        except KnitError:
            return False
        if found is None or not int(found.permission, 8) & 0o001:
            _log.info("%s is readable for all, and %s is not open to all, so it stays private", archive.path, parent)
            return False
    return True


def parents_of(path: str) -> list[str]:
    """The folders above an absolute path, the nearest first, without the root."""
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def split_root(uri: str) -> tuple[str, str]:
    """A URI's filesystem and its path in it."""
    found = re.match(r"[^:/]+://[^/]*", uri)
    root = found.group() if found else ""
    return root, uri[len(root) :]


def check_size(found: FileStatus, path: Path, size: int) -> None:
    """Make sure that what has a digest's name may have that digest.

    Raises:
        ConfigurationError: it has another size.
    """
    if found.length != size:
        raise ConfigurationError(
            f"{found.path} has {found.length} bytes where the {size} of {path} belong: somebody changed the cache. "
            "Remove that file, or use upload_always=True"
        )


def _described(digest: str, folder: str, entries: Sequence[FileStatus]) -> CachedEnvironment:
    by_name = {entry.path.rstrip("/").rpartition("/")[2]: entry for entry in entries}
    archive = next((e for n, e in by_name.items() if not e.is_dir and archives.kind_by_name(n)), None)
    return CachedEnvironment(
        digest=digest,
        folder=folder,
        archive=archive,
        used_ms=max((entry.modified_ms for entry in entries), default=0),
        described=DESCRIPTION in by_name,
        copies=tuple(e.path for e in entries if e.is_dir),
    )
