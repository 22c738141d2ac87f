"""Which implementation serves a path: hdfs-native where it can act as the user, else WebHDFS, else the gateway."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from knit_provider.yarn.config.namenodes import rpc_address
from knit_provider.yarn.errors import (
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.files.hdfs import Hdfs
from knit_provider.yarn.files.namenodes import DataNodeUnreachable, NameNodes
from knit_provider.yarn.files.native import NameNodeSilent, NativeFiles, NotServed
from knit_provider.yarn.files.port import Files, FileStatus, Moved, Space
from knit_provider.yarn.files.webhdfs import WebHDFS
from knit_provider.yarn.rest.knox import Topology
from knit_provider.yarn.spec.environment import scheme_of
from knit_provider.yarn.tls import Trust, trust_of

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.tokens import BorrowedTokens

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


NATIVE, WEB, GATEWAY = "hdfs-native", "webhdfs", "gateway"

# Long enough for a busy NameNode, short enough to have the other ways tried within a minute.
_PROBE_SECONDS = 10.0


class ChosenFiles:
    """All Hadoop filesystems of a cluster: paths in HDFS go through what serves there, others through the gateway.

    HDFS is served by hdfs-native where that can act as the user, else by WebHDFS, else by the gateway. Once a way in
    proves to be closed (DataNodes out of reach, say), the next one serves from then on. That is decided before any
    byte was published, so nothing happens twice.

    Args:
        conf: the cluster's configuration.
        user: who the filesystems take us for.
        gateway: gives the implementation through the gateway; called on first need, since it starts a JVM. None (the
            default): there is none, and what only it could serve is an error that says what was tried.
        default: URI of the filesystem that paths without a scheme are in. Default ``fs.defaultFS``.
        auth: a ``requests`` authentication object in place of ``user.name``.
        verify: as in ``requests``; default whom the configuration trusts.
        principal, keytab, ccache: the Kerberos login for hdfs-native; default the environment's ticket cache.
        caller: whose login acts for ``user``, if that is somebody else.
        borrowed: tokens that take the place of a login.
        topology: of a gateway. WebHDFS through that is then the first way, and HDFS's own port the second.
        no_native: why that port is not to be tried with the tickets that there are, where that is so.
    """

    def __init__(
        self,
        conf: HadoopConf,
        user: str,
        gateway: Callable[[], Files] | None = None,
        default: str | None = None,
        auth: Any = None,
        verify: bool | str | Trust | None = None,
        *,
        principal: str | None = None,
        keytab: str | None = None,
        ccache: str | None = None,
        caller: str | None = None,
        borrowed: BorrowedTokens | None = None,
        topology: Topology | None = None,
        no_native: str | None = None,
    ) -> None:
        self._conf = conf
        self._no_native = no_native
        self._topology = topology
        self._user = user
        self._caller = caller
        self._borrowed = borrowed
        self._gateway = gateway
        self._default = root_of(default or conf.default_fs, conf.default_fs)
        self._auth = auth
        self._verify = trust_of(conf) if verify is None else verify
        self._login = {"principal": principal, "keytab": keytab, "ccache": ccache}
        self._ways: dict[tuple[str, str], NativeFiles | WebHDFS | None] = {}
        self._reasons: dict[tuple[str, str], Exception] = {}
        self._lock = threading.RLock()

    def serving(self, path: str) -> str:
        """What serves a path now, for messages: ``hdfs-native``, ``webhdfs`` or ``gateway``."""
        return self._chosen(root_of(path, self._default))[0]

    def uri_home(self) -> str:
        """The user's home folder in the default filesystem."""
        # hdfs-native knows the place by convention only, and not what the NameNode makes of a Kerberos principal.
        web = self._way(self._default, WEB) if self._conf.is_secure else None
        return (
            web.uri_home()
            if web is not None
            else self._with(self._default, lambda files: files.uri_home(), repeatable=True)
        )

    def status(self, path: str) -> FileStatus | None:
        """What is known of a path; None where there is nothing."""
        return self._with(path, lambda files: files.status(self._full(path)), repeatable=True)

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit``."""
        return self._with(path, lambda files: files.list(self._full(path), limit), repeatable=True)

    def read(self, path: str, max_bytes: int = 16 * 1024 * 1024) -> bytes:
        """The content of a small file, also of one whose writer is still at it or has died."""
        content = self._with(path, lambda files: files.read(self._full(path), max_bytes), repeatable=True)
        if content:
            return content
        # Of a file that nobody has closed, hdfs-native sees no block that is not full.
        web = self._way(root_of(path, self._default), WEB)
        return content if web is None else web.read(self._full(path), max_bytes)

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """At most ``length`` bytes of a file in HDFS, from ``offset`` on.

        Raises:
            ConfigurationError: only the gateway serves the filesystem, which reads whole files.
        """

        def read(files: Files) -> bytes:
            if isinstance(files, Hdfs):
                return files.read_range(self._full(path), offset, length)
            raise ConfigurationError(f"{path} is in a filesystem of which only whole files are read")

        return self._with(path, read, repeatable=True)

    def write_many(
        self, directory: str, files: Mapping[str, bytes], overwrite: bool = False, modified_ms: int | None = None
    ) -> dict[str, FileStatus]:
        """Write small private files into a private folder."""
        return self._with(
            directory, lambda target: target.write_many(self._full(directory), files, overwrite, modified_ms)
        )

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
        return self._with(
            remote, lambda files: files.put(local, self._full(remote), sha256, replication, moved, approved)
        )

    def set_mode(self, path: str, mode: str) -> None:
        """Set the permissions of a file or folder."""
        self._with(path, lambda files: files.set_mode(self._full(path), mode), repeatable=True)

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path; False where there was nothing."""
        return self._with(path, lambda files: files.delete(self._full(path), recursive))

    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder and its parents; one that exists is left as it is."""
        self._with(path, lambda files: files.mkdirs(self._full(path), mode), repeatable=True)

    def rename(self, source: str, target: str) -> None:
        """Move without overwriting, within one filesystem."""
        self._with(source, lambda files: files.rename(self._full(source), self._full(target)))

    def touch(self, path: str) -> None:
        """Set a file's modification time to now; make it where it isn't there."""
        self._with(path, lambda files: files.touch(self._full(path)))

    def free(self, path: str) -> Space:
        """Room in the filesystem, and the quota on a path."""
        # hdfs-native knows of the quota only.
        web = self._way(root_of(path, self._default), WEB)
        return (
            web.free(self._full(path))
            if web is not None
            else self._with(path, lambda f: f.free(self._full(path)), repeatable=True)
        )

    def close(self) -> None:
        """Close our own connections; the gateway belongs to somebody else."""
        with self._lock:
            for way in self._ways.values():
                if way is not None:
                    way.close()
            self._ways.clear()

    def _full(self, path: str) -> str:
        return path if scheme_of(path) else self._default + path

    def _with(self, path: str, action: Callable[[Files], _T], repeatable: bool = False) -> _T:
        root = root_of(path, self._default)
        while True:
            name, files = self._chosen(root)
            if files is None:
                return action(self._through_gateway(root))
            try:
                return action(files)
            except NameNodeSilent as error:
                # It may go on for ever: hdfs-native turns to no other NameNode as long as this one is not dead.
                self._retire(root, name, error)
                if not repeatable:
                    raise
            except (DataNodeUnreachable, NotServed) as error:
                self._retire(root, name, error)

    def _retire(self, root: str, name: str, error: KnitError) -> None:
        with self._lock:
            self._ways[root, name] = None
            self._reasons[root, name] = error
        following, files = self._chosen(root)
        if files is not None or self._gateway is not None:
            _log.warning("files in %s go through %s from now on: %s", root, following, error)

    def _chosen(self, root: str) -> tuple[str, NativeFiles | WebHDFS | None]:
        for name in (NATIVE, WEB) if self._topology is None else (WEB, NATIVE):
            way = self._way(root, name)
            if way is not None:
                return name, way
        return GATEWAY, None

    def why_gateway(self, path: str) -> KnitError | None:
        """What keeps everything but the gateway from serving a path; None where something serves it without a JVM."""
        root = root_of(path, self._default)
        if self._chosen(root)[1] is not None:
            return None
        return self._kind(root)(f"nothing here serves the filesystem {root} without a JVM. {self._why(root)}")

    def _kind(self, root: str) -> type[KnitError]:
        """What it is that no way serves: who was asked and refused is not away."""
        last = self._reasons.get((root, WEB))
        return type(last) if isinstance(last, (AuthenticationFailed, PermissionDenied)) else ClusterUnavailable

    def _why(self, root: str) -> str:
        return "; ".join(
            f"{name}: {self._reasons[root, name]}" for name in (NATIVE, WEB) if (root, name) in self._reasons
        )

    def _through_gateway(self, root: str) -> Files:
        reasons = self._why(root)
        if self._gateway is None:
            raise self._kind(root)(
                f"nothing here serves the filesystem {root}. {reasons}. Repair one of these, or let the JVM do it: "
                'bridge="jvm", with Java and Hadoop\'s classes'
            )
        try:
            return self._gateway()
        except KnitError as error:
            if not reasons:
                raise
            raise type(error)(f"{error} (it is needed since nothing else serves {root}: {reasons})") from error

    def _way(self, root: str, name: str) -> NativeFiles | WebHDFS | None:
        with self._lock:
            if (root, name) not in self._ways:
                try:
                    self._ways[root, name] = self._try_native(root) if name == NATIVE else self._try_web(root)
                except (KnitError, _Unfit) as error:
                    # Where the NameNode itself is down, the last way will say so in its turn.
                    _log.info("%s does not serve %s: %s", name, root, error)
                    self._ways[root, name] = None
                    self._reasons[root, name] = error
            return self._ways[root, name]

    def _try_native(self, root: str) -> NativeFiles:
        if self._no_native is not None:
            raise _Unfit(f"it takes a ticket, and {self._no_native}")
        if self._caller is not None:
            raise _Unfit("whom to act for, it takes from the environment only (HADOOP_PROXY_USER)")
        reason = NativeFiles.why_not(self._conf, self._user, root=root, **self._login)
        if reason is not None:
            raise _Unfit(reason)
        files = NativeFiles(root, self._conf, self._user, **self._login)
        files.probe(_PROBE_SECONDS)
        return files

    def _try_web(self, root: str) -> WebHDFS:
        if scheme_of(root + "/") not in ("hdfs", "webhdfs", "swebhdfs"):
            raise _Unfit(f"{root} is no HDFS")
        borrowed = self._borrowed
        if self._conf.is_secure and self._auth is None and borrowed is None:
            raise _Unfit("the cluster wants Kerberos, and no authentication for HTTP is at hand")
        topology = self._topology
        if topology is not None and root.startswith("hdfs:"):
            web = WebHDFS(root, NameNodes([topology.url], self._user, self._auth, self._verify, topology=topology))
            web.uri_home()
            return web
        addresses = self._conf.namenode_web_addresses(root)
        if borrowed is not None:
            namenodes = NameNodes(
                addresses, self._user, verify=self._verify, delegation=lambda: self._borrowed_text(borrowed, root)
            )
        else:
            acted_for = None if self._caller is None else self._user
            namenodes = NameNodes(addresses, self._caller or self._user, self._auth, self._verify, acted_for=acted_for)
        web = WebHDFS(root, namenodes)
        web.uri_home()
        self._check_port(root, namenodes)
        return web

    def _borrowed_text(self, borrowed: BorrowedTokens, root: str) -> str:
        token = borrowed.for_hdfs(self._conf, root)
        if token is None:
            raise AuthenticationFailed(f"there is no token for {root}: {borrowed.described()}")
        return token.to_text()

    def _check_port(self, root: str, namenodes: NameNodes) -> None:
        """The paths that we write are read at the RPC port, by containers: a web port that works proves nothing of it.

        Raises:
            ClusterUnavailable: the NameNode says that it serves another port.
        """
        if not root.startswith("hdfs://"):
            return
        address = rpc_address(self._conf, root)
        if address is None:
            return
        said = namenodes.rpc_address()
        port = str(address.port)
        if said and said.rpartition(":")[2] != port:
            raise ClusterUnavailable(
                f"the NameNode at {namenodes.addresses[0]} serves {said}, and not port {port}, which {root} names; is "
                "nn_port (or fs.defaultFS) right?"
            )


class _Unfit(Exception):
    """A way in is not for this filesystem or user, and was not tried."""


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
