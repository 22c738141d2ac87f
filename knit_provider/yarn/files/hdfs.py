"""What every way into HDFS does alike: paths, private files, and uploads that are complete or absent."""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files.local import LocalContent
from knit_provider.yarn.files.namenodes import DataNodeUnreachable
from knit_provider.yarn.files.port import FileStatus, Moved, RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.rest.transport import Unanswered

_PARALLEL = 8
_PAGE = 1000
# A DataNode that is slow to take a request makes the file when the connection is cut already.
_LATE = (0.0, 0.2, 0.8, 2.0)


class Hdfs(ABC):
    """Implements the larger methods of :class:`knit_provider.yarn.files.port.Files` by means of the smaller ones.

    Args:
        root: URI of the filesystem, as in ``hdfs://nn:8020``.

    Attributes:
        has_standby: whether another NameNode may take over in the middle of an upload, without the client's knowledge.
    """

    has_standby = False

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def read(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """The content of a small file."""
        content = self._download(self._path(path), max_bytes + 1)
        if len(content) > max_bytes:
            raise ConfigurationError(f"{path} has more than the {max_bytes} bytes that are read at once")
        return content

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """At most ``length`` bytes of a file from ``offset`` on; fewer only at its end."""
        return self._download(self._path(path), length, offset)

    def write_many(
        self, directory: str, files: Mapping[str, bytes], overwrite: bool = False, modified_ms: int | None = None
    ) -> dict[str, FileStatus]:
        """Write small private files into a private folder."""
        folder = self._path(directory).rstrip("/")
        for name in files:
            if not name or "/" in name or name in (".", ".."):
                raise ConfigurationError(f"{name!r} is no file's name")
        self._private_folder(folder)

        made: builtins.list[str] = []

        def write(name: str) -> None:
            self._create(f"{folder}/{name}", LocalContent.of_bytes(files[name]), overwrite=overwrite)
            made.append(name)
            if modified_ms is not None:
                self._set_modified(f"{folder}/{name}", modified_ms)

        if not files:
            return {}
        try:
            with ThreadPoolExecutor(min(_PARALLEL, len(files)), thread_name_prefix="knit-write") as pool:
                list(pool.map(write, files))
        except DataNodeUnreachable:
            # It is tried again another way, where our own files would be in the way.
            for name in made if not overwrite else ():
                self.delete(f"{folder}/{name}")
            raise
        return self._written(folder, files)

    def put(
        self,
        local: str | os.PathLike[str],
        remote: str,
        sha256: str | None = None,
        replication: int | None = None,
        moved: Moved | None = None,
        approved: Callable[[], object] | None = None,
    ) -> FileStatus:
        """Upload one file, so that ``remote`` is complete or absent at every moment."""
        with LocalContent.of_file(local, moved) as content:
            try:
                return self._put(content, remote, sha256, replication, approved)
            except Unanswered:
                if not self.has_standby:
                    raise
                # A DataNode that waits for the NameNode which is lost may do so for minutes; another file goes through.
                content.rewind()
                return self._put(content, remote, sha256, replication, approved)

    def _put(
        self,
        content: LocalContent,
        remote: str,
        sha256: str | None,
        replication: int | None,
        approved: Callable[[], object] | None,
    ) -> FileStatus:
        target = self._path(remote)
        existing = self.status(remote)
        if existing is not None:
            return self._same(existing, content, sha256)
        parent, _, _ = target.rpartition("/")
        self.mkdirs(parent or "/")
        # Beside a folder that is named after the digest, so that this one never holds anything but its one file.
        beside = parent.rpartition("/")[0] if sha256 and parent.endswith(f"/{sha256}") else parent
        temporary = f"{beside}/.tmp-{uuid.uuid4()}"
        published = late = False
        try:
            self._create(temporary, content, parents=True, replication=replication)
            content.check_unchanged(sha256)
            if approved is not None:
                approved()
            uploaded = self._uploaded(temporary, content)
            self.rename(temporary, target)
            published = True
        except (RemoteFileExists, RemoteFileNotFound):
            # Somebody else was faster; or our own renaming took effect, its answer was lost with a NameNode, and the
            # next one was asked for it again. Equal content is as good as ours.
            existing = self.status(remote)
            if existing is None:
                raise
            return self._same(existing, content, sha256)
        except DataNodeUnreachable:
            content.rewind()  # another way in sends it all once more
            raise
        except Unanswered:
            late = True
            raise
        finally:
            if not published:
                self._discard(temporary, _LATE if late else (0.0,))
        return replace(uploaded, path=self.root + target)

    def _discard(self, temporary: str, pauses: Sequence[float]) -> None:
        for pause in pauses:
            time.sleep(pause)
            with contextlib.suppress(KnitError):
                if self.delete(temporary):
                    return

    def touch(self, path: str) -> None:
        """Set a file's modification time to now; make it where it isn't there."""
        name = self._path(path)
        try:
            self._set_modified(name, int(time.time() * 1000))
        except RemoteFileNotFound:
            try:
                self._create(name, LocalContent.of_bytes(b""))
            except KnitError:
                # Somebody else makes it at this moment, and HDFS has several ways to say so.
                if self.status(path) is None:
                    raise

    def set_mode(self, path: str, mode: str) -> None:
        """Set the permissions of a file or folder."""
        self._set_permission(self._path(path), mode)

    @abstractmethod
    def _set_modified(self, name: str, modified_ms: int) -> None:
        """Set a file's modification time, in milliseconds since the epoch."""

    @abstractmethod
    def status(self, path: str) -> FileStatus | None:
        """What is known of a path; None where there is nothing."""

    @abstractmethod
    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit``."""

    @abstractmethod
    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder and its parents; one that exists is left as it is."""

    @abstractmethod
    def rename(self, source: str, target: str) -> None:
        """Move without overwriting."""

    @abstractmethod
    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path; False where there was nothing."""

    @abstractmethod
    def _create(
        self,
        name: str,
        content: LocalContent,
        *,
        overwrite: bool = False,
        parents: bool = False,
        replication: int | None = None,
    ) -> None:
        """Write a file (0600) at an absolute path."""

    @abstractmethod
    def _download(self, name: str, max_bytes: int, offset: int = 0) -> bytes:
        """At most ``max_bytes`` of a file, from ``offset`` on."""

    @abstractmethod
    def _digest(self, name: str, length: int) -> str:
        """SHA-256 of a file's first ``length`` bytes, as hex digits."""

    @abstractmethod
    def _set_permission(self, name: str, mode: str) -> None:
        """Set a path's mode, as octal digits."""

    def _path(self, path: str) -> str:
        """The absolute path within this filesystem that a path or URI names."""
        parts = urlsplit(path)
        name = path
        if parts.scheme and "://" in path:
            scheme, rest = path.split("://", 1)
            authority, slash, name = rest.partition("/")
            name = slash + name or "/"
            if authority and f"{scheme}://{authority}" != self.root:
                raise ConfigurationError(f"{path} is not in {self.root}")
        if not name.startswith("/"):
            raise ConfigurationError(f"{path} is no absolute path")
        if "\0" in name or any(part in (".", "..") for part in name.split("/")):
            raise ConfigurationError(f"{path!r} is no plain path")
        return re.sub("/{2,}", "/", name)

    def _deletable(self, path: str) -> str:
        name = self._path(path)
        if name.strip("/") == "":
            raise ConfigurationError(f"{path} is the root of a filesystem, which is not deleted")
        return name

    def _private_folder(self, folder: str) -> None:
        found = self.status(folder)
        if found is None:
            self.mkdirs(folder, "700")
        elif not found.is_dir:
            raise RemoteFileExists(f"{folder} is a file, not a folder")
        elif int(found.permission, 8) & 0o077:
            self._set_permission(folder, "700")

    def _written(self, folder: str, files: Mapping[str, bytes]) -> dict[str, FileStatus]:
        found = {status.path.rpartition("/")[2]: status for status in self.list(folder, _PAGE)}
        result = {}
        for name, content in files.items():
            status = found.get(name) or self.status(f"{folder}/{name}")
            if status is None or status.length != len(content):
                raise KnitError(
                    f"{folder}/{name} was written and is not there as it was written; does somebody else write it?"
                )
            result[name] = status
        return result

    def _uploaded(self, temporary: str, content: LocalContent) -> FileStatus:
        status = self.status(temporary)
        if status is None or status.length != len(content):
            there = "nothing" if status is None else f"{status.length} bytes"
            raise KnitError(f"{content.name} has {len(content)} bytes, and {there} of it arrived in {temporary}")
        if status.permission != "600":
            self._set_permission(temporary, "600")
            status = replace(status, permission="600")
        return status

    def _same(self, existing: FileStatus, content: LocalContent, sha256: str | None) -> FileStatus:
        """The target is there: fine if it holds the same."""
        if not existing.is_dir and existing.length == len(content):
            if sha256 and existing.path.endswith(f"/{sha256}/{existing.path.rpartition('/')[2]}"):
                # It was verified before it got this name, and nothing of ours writes to it afterwards.
                return existing
            if self._digest(self._path(existing.path), existing.length) == (sha256 or content.digest()):
                return existing
        raise RemoteFileExists(f"{existing.path} exists already, with other content than {content.name}")
