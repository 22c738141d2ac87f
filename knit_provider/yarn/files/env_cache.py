"""Packed environments in HDFS: found by their digest, marked when they are used, and never changed.

::

    <home>/.knitDeps/envs/<sha256>/<name>.tar.gz      the archive, complete or absent
    <home>/.knitDeps/envs/<sha256>/environment.json   what it holds
    <home>/.knitDeps/envs/<sha256>/last-use           its modification time is when it was used last
    <home>/.knitDeps/envs/.condemned/<sha256>         somebody is about to remove it

How use and removal keep out of each other's way is in :mod:`knit_provider.yarn.files.use_marks`.
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
from knit_provider.yarn.files.use_marks import FRESH, UseMarks, last_use_ms
from knit_provider.yarn.submission.staging import ENVIRONMENTS, FOLDER

_log = logging.getLogger(__name__)

DESCRIPTION = "environment.json"
LAST_USE = "last-use"
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


class EnvironmentCache(UseMarks):
    """The packed environments below one folder.

    Args:
        files: the filesystem.
        envs: full URI of the folder.
        now: the time in seconds since the epoch.
    """

    mark = LAST_USE

    def __init__(self, files: Files, envs: str, now: Callable[[], float] = time.time) -> None:
        super().__init__(files, envs, now)
        self.envs = envs

    @classmethod
    def of_uri(cls, files: Files, uri: str) -> tuple[EnvironmentCache, str] | None:
        """The cache that an archive's URI is in, whoever's, and the digest; None for a URI that is elsewhere."""
        found = _IN_CACHE.fullmatch(uri)
        return (cls(files, found["envs"]), found["digest"]) if found else None

    def look(self, digest: str) -> CachedEnvironment | None:
        """What there is of an environment; one look-up. None where there is nothing."""
        entries = self._entries(digest)
        return None if entries is None else _described(digest, self._place(digest), entries)

    def use(self, digest: str) -> CachedEnvironment | None:
        """An environment that is there and stays there for as long as a submission takes; None where it isn't.

        One look-up where it was used within the last hour; else it is marked as used, which takes three calls more.
        """
        found = self.look(digest)
        if found is None or found.archive is None:
            return None
        if found.idle(self._now()) < FRESH:
            return found
        return self._spared(digest) if self._mark(digest) else None

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
        found = self.look(digest)
        return None if found is None or found.archive is None else found


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
        used_ms=last_use_ms(entries),
        described=DESCRIPTION in by_name,
        copies=tuple(e.path for e in entries if e.is_dir),
    )
