"""HDFS over Hadoop's RPC by hdfs-native: the Files port without a JVM and without the web ports.

hdfs-native takes a simple user from the environment only, and the environment is never changed here, so it serves one
simple user per process. It has no deadlines of its own for much of what can go wrong: a NameNode that refuses
connections keeps it for three minutes. So every call runs under :func:`call_bounded`.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import os
import pathlib
import pwd
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from knit_provider.yarn.config.namenodes import rpc_address
from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.files.bounded import Pulse, Stalled, call_bounded
from knit_provider.yarn.files.hdfs import Hdfs
from knit_provider.yarn.files.local import LocalContent
from knit_provider.yarn.files.namenodes import CALL_TIMEOUT, SILENCE_TIMEOUT, DataNodeUnreachable
from knit_provider.yarn.files.native_errors import error_of, is_of_datanodes
from knit_provider.yarn.files.port import FileStatus, RemoteFileExists, RemoteFileNotFound, Space

if TYPE_CHECKING:
    from hdfs_native import Client

    from knit_provider.yarn.config import HadoopConf

_T = TypeVar("_T")

_PIECE = 4 * 1024 * 1024
# Hadoop counts "leave it as it is" as -1, which the library takes as an unsigned number.
_UNCHANGED = 2**64 - 1
_UNLIMITED = 2**63
# With Hadoop's 15 attempts and their growing pauses a NameNode that is down takes minutes to be called so. These last
# for about as long as the failover of two NameNodes.
_ATTEMPTS = {
    "dfs.client.failover.max.attempts": "6",
    "dfs.client.failover.sleep.base.millis": "300",
    "dfs.client.failover.sleep.max.millis": "2000",
}


class NotServed(ClusterUnavailable):
    """hdfs-native cannot act as the user who is asked for; another way into the filesystem can."""


class NameNodeSilent(ClusterUnavailable):
    """A NameNode took a call and did not answer in time. What was asked for may still happen."""


def environment_user() -> str:
    """The simple user for whom hdfs-native acts: ``HADOOP_USER_NAME``, else the system's user."""
    named = os.environ.get("HADOOP_USER_NAME")
    if named is not None:
        return named
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "unknown"


def _missing_cache(ccache: str | None) -> str | None:
    """The file that a ticket would be in, where that can be told and isn't there."""
    name = ccache or os.environ.get("KRB5CCNAME")
    if os.environ.get("HADOOP_TOKEN_FILE_LOCATION"):
        return None
    if name is None:
        # What krb5.conf says of another place is the library's to find out.
        name = f"/tmp/krb5cc_{os.geteuid()}"  # noqa: S108 - MIT's and Heimdal's own place
        configured = pathlib.Path(os.environ.get("KRB5_CONFIG", "/etc/krb5.conf").partition(":")[0])
        with contextlib.suppress(OSError):
            if "default_ccache_name" in configured.read_text(errors="replace"):
                return None
    kind, colon, path = name.partition(":")
    file = path if colon and kind == "FILE" else name if name.startswith("/") else None
    return file if file is not None and not os.path.exists(file) else None


class NativeFiles(Hdfs):
    """One HDFS, as one user sees it through its NameNodes' and DataNodes' own protocols.

    Nothing is contacted before the first call. Safe to share between threads and to keep over a fork.

    Args:
        root: URI of the filesystem, as in ``hdfs://nn:8020`` or ``hdfs://nameservice``.
        conf: the cluster's configuration.
        user: who we are to the filesystem.
        principal, keytab: Kerberos login of this client alone.
        ccache: its ticket cache; default the environment's.
    """

    def __init__(
        self,
        root: str,
        conf: HadoopConf,
        user: str,
        *,
        principal: str | None = None,
        keytab: str | None = None,
        ccache: str | None = None,
    ) -> None:
        super().__init__(root)
        self._conf = conf
        self._user = user
        self._login = (principal, keytab, ccache)
        self._lock = threading.Lock()
        self._client: Client | None = None
        _ALIVE.add(self)

    @staticmethod
    def why_not(
        conf: HadoopConf,
        user: str,
        *,
        root: str | None = None,
        principal: str | None = None,
        keytab: str | None = None,
        ccache: str | None = None,
    ) -> str | None:
        """Why hdfs-native cannot act as ``user`` on this cluster; None where it can, as far as is known before a call.

        Args:
            conf: the cluster's configuration.
            user: who is to be acted as.
            root: URI of the filesystem; default ``fs.defaultFS``.
            principal, keytab, ccache: the Kerberos login, where one is given.
        """
        root = root or conf.default_fs
        if root.partition("://")[0] != "hdfs":
            return f"{root} is no hdfs:// filesystem"
        if not conf.is_secure:
            taken = environment_user()
            if taken != user:
                return f"it takes the user from the environment, which says {taken} and not {user} (HADOOP_USER_NAME)"
        elif keytab is not None and not os.access(keytab, os.R_OK):
            return f"the keytab {keytab} cannot be read"
        elif os.environ.get("HADOOP_PROXY_USER", user) != user:
            return f"it would act for {os.environ['HADOOP_PROXY_USER']}, whom HADOOP_PROXY_USER names, not for {user}"
        elif keytab is None and (missing := _missing_cache(ccache)):
            return f"there is no Kerberos ticket: {missing} is not there; run kinit, or give a keytab"
        elif (principal or keytab or ccache) and os.environ.get("HADOOP_TOKEN_FILE_LOCATION"):
            return "it would take the tokens that HADOOP_TOKEN_FILE_LOCATION names before the login that is given"
        try:
            import hdfs_native  # noqa: F401
        except ImportError as error:
            return f"hdfs-native cannot be imported here: {error}"
        return None

    def uri_home(self) -> str:
        """The user's home folder."""
        prefix = str(self._conf.get("dfs.user.home.dir.prefix") or "/user")
        return f"{self.root}{prefix.rstrip('/')}/{self._user}"

    def probe(self, seconds: float | None = None) -> None:
        """Ask something small, to know whether the filesystem can be reached so.

        Raises:
            KnitError: it cannot.
        """
        self._call("/", lambda client: client.get_file_info("/"), seconds)

    def status(self, path: str) -> FileStatus | None:
        """What is known of a path; None where there is nothing."""
        name = self._path(path)
        try:
            return self._status(self._call(name, lambda client: client.get_file_info(name)))
        except RemoteFileNotFound:
            return None

    def list(self, path: str, limit: int = 1000) -> Sequence[FileStatus]:
        """The entries of a folder, at most ``limit``."""
        name = self._path(path)

        def entries(client: Client) -> Sequence[Any]:
            return [*itertools.islice(client.list_status(name), limit)]

        return [self._status(raw) for raw in self._call(name, entries)]

    def delete(self, path: str, recursive: bool = False) -> bool:
        """Remove a path; False where there was nothing."""
        name = self._deletable(path)
        return self._call(name, lambda client: client.delete(name, recursive))

    def mkdirs(self, path: str, mode: str = "700") -> None:
        """Make a folder and its parents; one that exists is left as it is."""
        name = self._path(path)
        self._call(name, lambda client: client.mkdirs(name, int(mode, 8), create_parent=True))

    def rename(self, source: str, target: str) -> None:
        """Move without overwriting."""
        old, new = self._path(source), self._path(target)
        try:
            self._call(old, lambda client: client.rename(old, new, overwrite=False))
        except (RemoteFileExists, RemoteFileNotFound, ClusterUnavailable):
            raise
        except KnitError as error:
            # A file onto a folder, or the other way round, is an error of no class of its own.
            if self.status(new) is not None:
                raise RemoteFileExists(f"{new} exists already") from error
            raise

    def _set_modified(self, name: str, modified_ms: int) -> None:
        self._call(name, lambda client: client.set_times(name, modified_ms, _UNCHANGED))

    def free(self, path: str) -> Space:
        """The quota on a path. Room in the filesystem is nothing that hdfs-native can ask for."""
        name = self._path(path)
        found = self._call(name, lambda client: client.get_content_summary(name))
        space, names = found.space_quota < _UNLIMITED, found.quota < _UNLIMITED
        return Space(
            None,
            None,
            None,
            space_quota=found.space_quota if space else None,
            space_used=found.space_consumed if space else None,
            name_quota=found.quota if names else None,
            name_used=found.file_count + found.directory_count if names else None,
        )

    def close(self) -> None:
        """Give up the connections; a later call makes new ones."""
        with self._lock:
            self._client = None

    def _create(
        self,
        name: str,
        content: LocalContent,
        *,
        overwrite: bool = False,
        parents: bool = False,
        replication: int | None = None,
    ) -> None:
        from hdfs_native import WriteOptions

        options = WriteOptions(permission=0o600, overwrite=overwrite, create_parent=parents, replication=replication)

        begun = threading.Event()

        def write(client: Client, pulse: Pulse) -> None:
            target = client.create(name, options)
            begun.set()
            written = 0
            while piece := content.read(_PIECE):
                pulse.beat()
                target.write(piece)
                written += len(piece)
                if written > _PIECE:
                    # More than a buffer takes: the DataNode is there.
                    pulse.allow(SILENCE_TIMEOUT)
            pulse.beat()
            target.close()

        try:
            self._transfer(name, write)
        except DataNodeUnreachable:
            # The NameNode has the name already, and the next way in must not find it taken.
            if begun.is_set() and not overwrite:
                with contextlib.suppress(KnitError):
                    self.delete(name)
            raise

    def _download(self, name: str, max_bytes: int, offset: int = 0) -> bytes:
        def read(client: Client, pulse: Pulse) -> bytes:
            source = client.read(name)
            content = bytearray()
            for piece in source.read_range_stream(offset, max(0, min(max_bytes, len(source) - offset))):
                pulse.beat()
                pulse.allow(SILENCE_TIMEOUT)
                content += piece
            return bytes(content)

        return self._transfer(name, read)

    def _digest(self, name: str, length: int) -> str:
        found = hashlib.sha256()

        def update(client: Client, pulse: Pulse) -> None:
            for piece in client.read(name).read_range_stream(0, length):
                pulse.beat()
                pulse.allow(SILENCE_TIMEOUT)
                found.update(piece)

        self._transfer(name, update)
        return found.hexdigest()

    def _set_permission(self, name: str, mode: str) -> None:
        self._call(name, lambda client: client.set_permission(name, int(mode, 8)))

    def _status(self, raw: Any) -> FileStatus:
        folder = bool(raw.isdir)
        return FileStatus(
            path=self.root + (raw.path.rstrip("/") or "/"),
            type="DIRECTORY" if folder else "FILE",
            length=0 if folder else int(raw.length),
            modified_ms=int(raw.modification_time),
            permission=f"{raw.permission:o}",
            owner=str(raw.owner),
            replication=0 if folder else int(raw.replication or 0),
        )

    def _call(self, name: str, action: Callable[[Client], _T], seconds: float | None = None) -> _T:
        client = self._connected()
        seconds = seconds or CALL_TIMEOUT
        try:
            return call_bounded(lambda _pulse: action(client), seconds)
        except Stalled:
            raise NameNodeSilent(
                f"{self.root} did not answer in {seconds:g} s ({name}); what was asked for may still happen"
            ) from None
        except (OSError, RuntimeError, ValueError) as error:
            raise error_of(error, name, self.root) from error

    def _transfer(self, name: str, action: Callable[[Client, Pulse], _T]) -> _T:
        client = self._connected()
        try:
            return call_bounded(lambda pulse: action(client, pulse), CALL_TIMEOUT)
        except Stalled:
            raise DataNodeUnreachable(
                f"the bytes of {self.root}{name} do not move; does a firewall here let the DataNodes' data ports "
                "through?"
            ) from None
        except (OSError, RuntimeError, ValueError) as error:
            if is_of_datanodes(error):
                raise DataNodeUnreachable(
                    f"no DataNode takes or gives the bytes of {self.root}{name}: {str(error)[:200]}"
                ) from error
            raise error_of(error, name, self.root) from error

    def _connected(self) -> Client:
        if not self._conf.is_secure and environment_user() != self._user:
            raise NotServed(
                f"hdfs-native acts as {environment_user()} now, since HADOOP_USER_NAME has changed, not as {self._user}"
            )
        with self._lock:
            if self._client is None:
                from hdfs_native import Client

                principal, keytab, ccache = self._login
                try:
                    self._client = Client(
                        self._rpc_root(),
                        {**self._conf.set_properties(), **_ATTEMPTS, **self._security()},
                        kerberos_principal=principal,
                        kerberos_keytab=keytab,
                        kerberos_cache=ccache,
                    )
                except (OSError, RuntimeError, ValueError) as error:
                    raise error_of(error, "/", self.root) from error
            return self._client

    def _security(self) -> dict[str, str]:
        return {"hadoop.security.authentication": "kerberos" if self._conf.is_secure else "simple"}

    def _rpc_root(self) -> str:
        address = rpc_address(self._conf, self.root)
        return self.root if address is None else f"hdfs://{address}"

    def _leave_to_parent(self) -> None:
        """In a forked child: never touch the parent's client again, not even to free it."""
        self._lock = threading.Lock()
        if self._client is not None:
            # Its runtime's threads are not here, and freeing it would wait for them for ever.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._client))
            self._client = None


_ALIVE: weakref.WeakSet[NativeFiles] = weakref.WeakSet()


def _after_fork() -> None:
    for files in list(_ALIVE):
        files._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
