"""The Files port: what the core asks of a Hadoop filesystem, whoever answers.

Paths are absolute (``/user/alice/x``, in the default filesystem) or have a scheme (``hdfs://other:8020/x``, ``s3a://…``),
and are taken literally, as Hadoop's shell takes them: ``%20`` is three characters.
Every method has a deadline, and raises the errors of :mod:`knit_provider.yarn.errors`: ``PermissionDenied`` where the
filesystem says no, ``ClusterUnavailable`` where it cannot be reached, ``ConfigurationError`` where the input is at
fault (a quota is exceeded, a local file is missing or changed while it was read), and the two classes below.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from knit_provider.yarn.errors import KnitError

FileType = Literal["FILE", "DIRECTORY"]

Moved = Callable[[int], object]
"""Is told of bytes that moved, as many as the number says."""


class RemoteFileNotFound(KnitError, FileNotFoundError):
    """The filesystem has no such path."""


class RemoteFileExists(KnitError, FileExistsError):
    """The path is taken, and the call does not overwrite (or the folder is not empty)."""


@dataclass(frozen=True)
class FileStatus:
    """What the filesystem knows of one path.

    Attributes:
        path: with scheme and authority, written as Hadoop writes paths: without the escapes of a URI.
        type: ``"FILE"`` or ``"DIRECTORY"``.
        length: bytes; 0 for a folder.
        modified_ms: milliseconds since the epoch, exactly as YARN compares them for a local resource.
        permission: octal digits, such as ``"600"``.
        owner: user name; may be empty on filesystems that have no owners.
        replication: copies of each block; 0 for a folder.
    """

    path: str
    type: FileType
    length: int
    modified_ms: int
    permission: str
    owner: str
    replication: int

    @property
    def is_dir(self) -> bool:
        """Whether the path is a folder."""
        return self.type == "DIRECTORY"


@dataclass(frozen=True)
class Space:
    """Room in a filesystem, in bytes. ``None`` stands for "not limited" or "not told".

    Attributes:
        capacity: size of the filesystem.
        used: bytes in use, replicas counted.
        remaining: bytes free, replicas counted.
        space_quota: limit of bytes (replicas counted) under the path.
        space_used: bytes of that quota in use.
        name_quota: limit of files and folders under the path.
        name_used: files and folders of that quota in use.
    """

    capacity: int | None
    used: int | None
    remaining: int | None
    space_quota: int | None = None
    space_used: int | None = None
    name_quota: int | None = None
    name_used: int | None = None


class Files(Protocol):
    """A Hadoop filesystem, as one user of one cluster sees it."""

    def uri_home(self) -> str:
        """The user's home folder as a full URI without a slash at its end."""

    def status(self, path: str) -> FileStatus | None:
        """What is known of ``path``; ``None`` where there is nothing."""

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit`` of them; :class:`RemoteFileNotFound` where it isn't there."""

    def read(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """The content of a small file. One longer than ``max_bytes`` is a ``ConfigurationError``."""

    def write_many(
        self, directory: str, files: Mapping[str, bytes], overwrite: bool = False, modified_ms: int | None = None
    ) -> dict[str, FileStatus]:
        """Write small private files (0600) into ``directory``, which is made with 0700 where it isn't there.

        An existing folder that is open to more than its owner is narrowed to 0700.

        Args:
            directory: the folder.
            files: content by name.
            overwrite: replace files that are there; otherwise they are a :class:`RemoteFileExists`.
            modified_ms: the modification time that they get, in milliseconds since the epoch; default the time at
                which they are written. A filesystem that lets nobody set it keeps its own.

        Returns:
            The status of each file by its name.
        """

    def put(
        self,
        local: str | os.PathLike[str],
        remote: str,
        sha256: str | None = None,
        replication: int | None = None,
        moved: Moved | None = None,
        approved: Callable[[], object] | None = None,
    ) -> FileStatus:
        """Upload one file (0600) so that ``remote`` is complete or absent at every moment, and never overwritten.

        The local file is read once. It may not change meanwhile: size, modification time and, where ``sha256`` is
        given, the digest are compared, and a difference is a ``ConfigurationError`` that names the file.

        Args:
            local: a file; links are followed.
            remote: the path to create. One that exists with the same content counts as done.
            sha256: expected digest of the content, as hex digits.
            replication: copies of each block; ``None`` is the filesystem's default.
            moved: told how many more bytes are on their way; a negative number takes back what has to be sent again.
            approved: called before the file gets its name; if it raises, nothing is left of the upload.
        """

    def set_mode(self, path: str, mode: str) -> None:
        """Set the permissions of a file or folder, as octal digits.

        Raises:
            ConfigurationError: the way into the filesystem that serves here cannot.
        """

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove ``path``. False where there was nothing to remove."""

    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder and its parents; one that exists is left as it is."""

    def rename(self, source: str, target: str) -> None:
        """Move ``source`` to ``target`` in one step. Never overwrites: :class:`RemoteFileExists`."""

    def touch(self, path: str) -> None:
        """Set the modification time of a file to now; create it empty (0600) where it isn't there."""

    def free(self, path: str) -> Space:
        """Room in the filesystem, and the quota that is set on ``path``."""
