"""Which implementation serves a path: WebHDFS where that works, else the gateway."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.files.namenodes import DataNodeUnreachable, NameNodes
from knit_provider.yarn.files.port import Files, FileStatus, Space
from knit_provider.yarn.files.webhdfs import WebHDFS
from knit_provider.yarn.spec.environment import scheme_of

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class ChosenFiles:
    """All Hadoop filesystems of a cluster: each path goes to WebHDFS if it lies in HDFS, else through the gateway.

    Once a filesystem's web ports prove to be out of reach, the gateway serves it from then on. That is decided before
    any byte was written, so nothing happens twice.

    Args:
        conf: the cluster's configuration.
        user: who the filesystems take us for.
        gateway: gives the implementation through the gateway; called on first need, since it starts a JVM.
        default: URI of the filesystem that paths without a scheme are in. Default ``fs.defaultFS``.
        auth: a ``requests`` authentication object in place of ``user.name``.
        verify: as in ``requests``.
    """

    def __init__(
        self,
        conf: HadoopConf,
        user: str,
        gateway: Callable[[], Files],
        default: str | None = None,
        auth: Any = None,
        verify: bool | str | None = None,
    ) -> None:
        self._conf = conf
        self._user = user
        self._gateway = gateway
        self._default = root_of(default or conf.default_fs, conf.default_fs)
        self._auth = auth
        self._verify = verify
        self._web: dict[str, WebHDFS | None] = {}
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def serving(self, path: str) -> str:
        """What serves a path now, for messages: ``webhdfs`` or ``gateway``."""
        return "gateway" if self._web_for(root_of(path, self._default)) is None else "webhdfs"

    def uri_home(self) -> str:
        """The user's home folder in the default filesystem."""
        return self._with(self._default, lambda files: files.uri_home())

    def status(self, path: str) -> FileStatus | None:
        """What is known of a path; None where there is nothing."""
        return self._with(path, lambda files: files.status(self._full(path)))

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit``."""
        return self._with(path, lambda files: files.list(self._full(path), limit))

    def read(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """The content of a small file."""
        return self._with(path, lambda files: files.read(self._full(path), max_bytes))

    def write_many(self, directory: str, files: Mapping[str, bytes], overwrite: bool = False) -> dict[str, FileStatus]:
        """Write small private files into a private folder."""
        return self._with(directory, lambda target: target.write_many(self._full(directory), files, overwrite))

    def put(
        self,
        local: str | os.PathLike[str],
        remote: str,
        sha256: str | None = None,
        replication: int | None = None,
    ) -> FileStatus:
        """Upload one file, so that ``remote`` is complete or absent at every moment."""
        return self._with(remote, lambda files: files.put(local, self._full(remote), sha256, replication))

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path; False where there was nothing."""
        return self._with(path, lambda files: files.delete(self._full(path), recursive))

    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder and its parents; one that exists is left as it is."""
        self._with(path, lambda files: files.mkdirs(self._full(path), mode))

    def rename(self, source: str, target: str) -> None:
        """Move without overwriting, within one filesystem."""
        self._with(source, lambda files: files.rename(self._full(source), self._full(target)))

    def touch(self, path: str) -> None:
        """Set a file's modification time to now; make it where it isn't there."""
        self._with(path, lambda files: files.touch(self._full(path)))

    def free(self, path: str) -> Space:
        """Room in the filesystem, and the quota on a path."""
        return self._with(path, lambda files: files.free(self._full(path)))

    def close(self) -> None:
        """Close the connections of WebHDFS; the gateway belongs to somebody else."""
        with self._lock:
            for web in self._web.values():
                if web is not None:
                    web.close()
            self._web.clear()

    def _full(self, path: str) -> str:
        return path if scheme_of(path) else self._default + path

    def _with(self, path: str, action: Callable[[Files], _T]) -> _T:
        root = root_of(path, self._default)
        web = self._web_for(root)
        if web is None:
            return action(self._through_gateway(root))
        try:
            return action(web)
        except DataNodeUnreachable as error:
            with self._lock:
                self._web[root] = None
                self._reasons[root] = str(error)
            _log.warning("files in %s go through the gateway JVM from now on: %s", root, error)
            return action(self._through_gateway(root))

    def _through_gateway(self, root: str) -> Files:
        try:
            return self._gateway()
        except KnitError as error:
            reason = self._reasons.get(root)
            if reason is None:
                raise
            raise type(error)(f"{error} (it is needed since WebHDFS does not serve {root}: {reason})") from error

    def _web_for(self, root: str) -> WebHDFS | None:
        with self._lock:
            if root not in self._web:
                self._web[root] = self._try_web(root)
            return self._web[root]

    def _try_web(self, root: str) -> WebHDFS | None:
        if scheme_of(root + "/") not in ("hdfs", "webhdfs", "swebhdfs"):
            return None
        if self._conf.is_secure and self._auth is None:
            return None
        try:
            addresses = self._conf.namenode_web_addresses(root)
            web = WebHDFS(root, NameNodes(addresses, self._user, self._auth, self._verify))
            web.uri_home()
        except KnitError as error:
            # Where the NameNode itself is down, the gateway will say so in its turn.
            _log.info("files in %s go through the gateway JVM, not WebHDFS: %s", root, error)
            self._reasons[root] = str(error)
            return None
        return web


def root_of(path: str, default: str) -> str:
    """The filesystem that a path or URI is in, as ``scheme://authority``.

    Examples:
        >>> root_of("hdfs://nn:8020/a/b", "file://"), root_of("/a", "hdfs://nn/"), root_of("hdfs:///a", "hdfs://nn")
        ('hdfs://nn:8020', 'hdfs://nn', 'hdfs://nn')
    """
    default = default.rstrip("/") if "://" in default else default
    scheme, found, rest = path.partition("://")
    if not found:
        return default
    authority = rest.partition("/")[0]
    if not authority and default.partition("://")[0] == scheme:
        return default
    return f"{scheme}://{authority}"
