"""HDFS over WebHDFS: the Files port without a JVM."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files.local import LocalContent, digest_of
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.port import FileStatus, RemoteFileExists, RemoteFileNotFound, Space

_PARALLEL = 8
_PAGE = 1000


class WebHDFS:
    """One HDFS, as one user sees it through its NameNodes' and DataNodes' web ports.

    Args:
        root: URI of the filesystem, as in ``hdfs://nn:8020``.
        namenodes: how to reach it.
    """

    def __init__(self, root: str, namenodes: NameNodes) -> None:
        self.root = root.rstrip("/")
        self._namenodes = namenodes
        self._home: str | None = None

    def uri_home(self) -> str:
        """The user's home folder."""
        if self._home is None:
            answer = self._namenodes.call("GET", "GETHOMEDIRECTORY", "/")
            self._home = self.root + str(answer["Path"]).rstrip("/")
        return self._home

    def status(self, path: str) -> FileStatus | None:
        """What is known of a path; None where there is nothing."""
        name = self._path(path)
        try:
            answer = self._namenodes.call("GET", "GETFILESTATUS", name)
        except RemoteFileNotFound:
            return None
        return self._status(name, answer["FileStatus"])

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit``."""
        name = self._path(path)
        found: list[FileStatus] = []
        after = None
        while len(found) < limit:
            answer = self._namenodes.call("GET", "LISTSTATUS_BATCH", name, startAfter=after)
            listing = answer["DirectoryListing"]
            page = listing["partialListing"]["FileStatuses"]["FileStatus"]
            found += [self._status(f"{name.rstrip('/')}/{entry['pathSuffix']}", entry) for entry in page]
            if not page or not listing["remainingEntries"]:
                break
            after = page[-1]["pathSuffix"]
        return found[:limit]

    def read(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """The content of a small file."""
        name = self._path(path)
        content = self._namenodes.download(name, max_bytes + 1)
        if len(content) > max_bytes:
            raise ConfigurationError(f"{path} has more than the {max_bytes} bytes that are read at once")
        return content

    def write_many(self, directory: str, files: Mapping[str, bytes], overwrite: bool = False) -> dict[str, FileStatus]:
        """Write small private files into a private folder."""
        folder = self._path(directory).rstrip("/")
        for name in files:
            if not name or "/" in name or name in (".", ".."):
                raise ConfigurationError(f"{name!r} is no file's name")
        self._private_folder(folder)

        def write(name: str) -> None:
            body = LocalContent.of_bytes(files[name])
            self._namenodes.upload(
                f"{folder}/{name}", body, permission="600", overwrite=str(overwrite).lower(), createparent="false"
            )

        if not files:
            return {}
        with ThreadPoolExecutor(min(_PARALLEL, len(files)), thread_name_prefix="knit-write") as pool:
            list(pool.map(write, files))
        return self._written(folder, files)

    def put(
        self,
        local: str | os.PathLike[str],
        remote: str,
        sha256: str | None = None,
        replication: int | None = None,
    ) -> FileStatus:
        """Upload one file, so that ``remote`` is complete or absent at every moment."""
        target = self._path(remote)
        with LocalContent.of_file(local) as content:
            existing = self.status(remote)
            if existing is not None:
                return self._same(existing, content, sha256)
            parent, _, _ = target.rpartition("/")
            self.mkdirs(parent or "/")
            # Beside a folder that is named after the digest, so that this one never holds anything but its one file.
            beside = parent.rpartition("/")[0] if sha256 and parent.endswith(f"/{sha256}") else parent
            temporary = f"{beside}/.tmp-{uuid.uuid4()}"
            published = False
            try:
                self._namenodes.upload(temporary, content, permission="600", overwrite="false", replication=replication)
                content.check_unchanged(sha256)
                uploaded = self._uploaded(temporary, content)
                self.rename(temporary, target)
                published = True
            except RemoteFileExists:
                # Somebody else was faster. Equal content is as good as ours.
                existing = self.status(remote)
                if existing is None:
                    raise
                return self._same(existing, content, sha256)
            finally:
                if not published:
                    with contextlib.suppress(KnitError):
                        self.delete(temporary)
            return replace(uploaded, path=self.root + target)

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path; False where there was nothing."""
        name = self._path(path)
        if name.strip("/") == "":
            raise ConfigurationError(f"{path} is the root of a filesystem, which is not deleted")
        answer = self._namenodes.call("DELETE", "DELETE", name, recursive=str(recursive).lower())
        return bool(answer.get("boolean"))

    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder and its parents; one that exists is left as it is."""
        self._namenodes.call("PUT", "MKDIRS", self._path(path), permission=mode)

    def rename(self, source: str, target: str) -> None:
        """Move without overwriting."""
        old, new = self._path(source), self._path(target)
        try:
            # Without this option HDFS moves the source into a folder that exists, and says false where a file does.
            answer = self._namenodes.call("PUT", "RENAME", old, destination=new, renameoptions="NONE")
        except (RemoteFileExists, RemoteFileNotFound):
            raise
        except KnitError as error:
            # A file onto a folder, or the other way round, is an error of no class of its own.
            if self.status(new) is not None:
                raise RemoteFileExists(f"{new} exists already") from error
            raise
        if answer.get("boolean") is False:
            raise RemoteFileExists(f"{new} exists already, or {old} is gone")

    def touch(self, path: str) -> None:
        """Set a file's modification time to now; make it where it isn't there."""
        name = self._path(path)
        now = int(time.time() * 1000)
        try:
            self._namenodes.call("PUT", "SETTIMES", name, modificationtime=now)
        except RemoteFileNotFound:
            body = LocalContent.of_bytes(b"")
            self._namenodes.upload(name, body, permission="600", overwrite="false", createparent="false")

    def free(self, path: str) -> Space:
        """Room in the filesystem, and the quota on a path."""
        capacity, used, remaining = self._room()
        quota: dict[str, Any] = {}
        # Not every HDFS knows the operation, and the count needs the right to read every folder below.
        with contextlib.suppress(KnitError):
            quota = self._namenodes.call("GET", "GETQUOTAUSAGE", self._path(path)).get("QuotaUsage", {})
        names, space = int(quota.get("quota", -1)), int(quota.get("spaceQuota", -1))
        return Space(
            capacity,
            used,
            remaining,
            space_quota=space if space >= 0 else None,
            space_used=int(quota["spaceConsumed"]) if space >= 0 else None,
            name_quota=names if names >= 0 else None,
            name_used=int(quota["fileAndDirectoryCount"]) if names >= 0 else None,
        )

    def close(self) -> None:
        """Close the connections."""
        self._namenodes.close()

    def _room(self) -> tuple[int | None, int | None, int | None]:
        with contextlib.suppress(KnitError):
            status = self._namenodes.call("GET", "GETSTATUS", "/")["FsStatus"]  # since Hadoop 3.4
            return int(status["capacity"]), int(status["used"]), int(status["remaining"])
        with contextlib.suppress(KnitError, KeyError):
            bean = self._namenodes.jmx("Hadoop:service=NameNode,name=NameNodeInfo")
            return int(bean["Total"]), int(bean["Used"]), int(bean["Free"])
        return None, None, None

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

    def _status(self, name: str, raw: Mapping[str, Any]) -> FileStatus:
        folder = raw["type"] == "DIRECTORY"
        return FileStatus(
            path=self.root + (name.rstrip("/") or "/"),
            type="DIRECTORY" if folder else "FILE",
            length=0 if folder else int(raw["length"]),
            modified_ms=int(raw["modificationTime"]),
            permission=str(raw["permission"]),
            owner=str(raw.get("owner", "")),
            replication=0 if folder else int(raw["replication"]),
        )

    def _private_folder(self, folder: str) -> None:
        found = self.status(folder)
        if found is None:
            self.mkdirs(folder, "700")
        elif not found.is_dir:
            raise RemoteFileExists(f"{folder} is a file, not a folder")
        elif int(found.permission, 8) & 0o077:
            self._namenodes.call("PUT", "SETPERMISSION", folder, permission="700")

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
            self._namenodes.call("PUT", "SETPERMISSION", temporary, permission="600")
            status = replace(status, permission="600")
        return status

    def _same(self, existing: FileStatus, content: LocalContent, sha256: str | None) -> FileStatus:
        """The target is there: fine if it holds the same."""
        if not existing.is_dir and existing.length == len(content):
            if sha256 and existing.path.endswith(f"/{sha256}/{existing.path.rpartition('/')[2]}"):
                # It was verified before it got this name, and nothing of ours writes to it afterwards.
                return existing
            theirs = self._namenodes.download(self._path(existing.path), existing.length)
            if digest_of(theirs) == (sha256 or content.digest()):
                return existing
        raise RemoteFileExists(f"{existing.path} exists already, with other content than {content.name}")
