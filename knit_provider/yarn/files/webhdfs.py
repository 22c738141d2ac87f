"""HDFS over WebHDFS: the Files port without a JVM."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.files.hdfs import Hdfs
from knit_provider.yarn.files.local import LocalContent, digest_of
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.port import FileStatus, RemoteFileExists, RemoteFileNotFound, Space


class WebHDFS(Hdfs):
    """One HDFS, as one user sees it through its NameNodes' and DataNodes' web ports.

    Args:
        root: URI of the filesystem, as in ``hdfs://nn:8020``.
        namenodes: how to reach it.
    """

    def __init__(self, root: str, namenodes: NameNodes) -> None:
        super().__init__(root)
        self._namenodes = namenodes
        self.has_standby = len(namenodes.addresses) > 1
        self._home: str | None = None

    def uri_home(self) -> str:
        """The user's home folder."""
        if self._home is None:
            answer = self._namenodes.call("GET", "GETHOMEDIRECTORY", "/")
            with _understood("the home folder"):
                self._home = self.root + str(answer["Path"]).rstrip("/")
        return self._home

    def status(self, path: str) -> FileStatus | None:
        """What is known of a path; None where there is nothing."""
        name = self._path(path)
        try:
            answer = self._namenodes.call("GET", "GETFILESTATUS", name)
        except RemoteFileNotFound:
            return None
        with _understood(name):
            return self._status(name, answer["FileStatus"])

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit``."""
        name = self._path(path)
        found: list[FileStatus] = []
        after = None
        while len(found) < limit:
            answer = self._namenodes.call("GET", "LISTSTATUS_BATCH", name, startAfter=after)
            with _understood(name):
                listing = answer["DirectoryListing"]
                page = listing["partialListing"]["FileStatuses"]["FileStatus"]
                found += [self._status(f"{name.rstrip('/')}/{entry['pathSuffix']}", entry) for entry in page]
                if not page or not listing["remainingEntries"]:
                    break
                after = page[-1]["pathSuffix"]
        return found[:limit]

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path; False where there was nothing."""
        name = self._deletable(path)
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

    def _set_modified(self, name: str, modified_ms: int) -> None:
        self._namenodes.call("PUT", "SETTIMES", name, modificationtime=modified_ms)

    def free(self, path: str) -> Space:
        """Room in the filesystem, and the quota on a path."""
        capacity, used, remaining = self._room()
        quota: dict[str, Any] = {}
        # Not every HDFS knows the operation, and the count needs the right to read every folder below.
        with contextlib.suppress(KnitError):
            quota = self._namenodes.call("GET", "GETQUOTAUSAGE", self._path(path)).get("QuotaUsage", {})
        with _understood(path):
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
        with contextlib.suppress(KnitError), _understood("/"):
            status = self._namenodes.call("GET", "GETSTATUS", "/")["FsStatus"]  # since Hadoop 3.4
            return int(status["capacity"]), int(status["used"]), int(status["remaining"])
        with contextlib.suppress(KnitError), _understood("/"):
            bean = self._namenodes.jmx("Hadoop:service=NameNode,name=NameNodeInfo")
            return int(bean["Total"]), int(bean["Used"]), int(bean["Free"])
        return None, None, None

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

    def _create(
        self,
        name: str,
        content: LocalContent,
        *,
        overwrite: bool = False,
        parents: bool = False,
        replication: int | None = None,
    ) -> None:
        self._namenodes.upload(
            name,
            content,
            permission="600",
            overwrite=str(overwrite).lower(),
            createparent=str(parents).lower(),
            replication=replication,
        )

    def _download(self, name: str, max_bytes: int, offset: int = 0) -> bytes:
        return self._namenodes.download(name, max_bytes, offset)

    def _digest(self, name: str, length: int) -> str:
        return digest_of(self._namenodes.download(name, length))

    def _set_permission(self, name: str, mode: str) -> None:
        self._namenodes.call("PUT", "SETPERMISSION", name, permission=mode)


@contextlib.contextmanager
def _understood(what: str) -> Iterator[None]:
    """Turn a value that is missing or of another type into an error that says whose answer it is missing in."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ClusterUnavailable(
            f"{what}: the answer of WebHDFS is not as it should be ({type(error).__name__}: {error}); is that the "
            "NameNode's web port?"
        ) from error
