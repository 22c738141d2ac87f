"""One daemon: a JVM of its own (the KDC is none), in a session of its own, that can be killed and started again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from knit_provider.localcluster.ports import inherited_claims
from knit_provider.localcluster.process import ProcessId, end_all, wait_gone
from knit_provider.yarn.errors import ClusterUnavailable

MAIN_CLASSES: Mapping[str, str] = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "resourcemanager": "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nodemanager": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
    "historyserver": "org.apache.hadoop.mapreduce.v2.hs.JobHistoryServer",
    "zkfc": "org.apache.hadoop.hdfs.tools.DFSZKFailoverController",
    "zookeeper": "org.apache.zookeeper.server.quorum.QuorumPeerMain",
}
TITLES: Mapping[str, str] = {
    "namenode": "NameNode",
    "datanode": "DataNode",
    "resourcemanager": "ResourceManager",
    "nodemanager": "NodeManager",
    "historyserver": "JobHistoryServer",
    "kdc": "Kerberos KDC",
    "zkfc": "ZKFailoverController",
    "zookeeper": "ZooKeeper",
}
HEAP_MB: Mapping[str, int] = {
    "namenode": 512,
    "datanode": 384,
    "resourcemanager": 768,
    "nodemanager": 512,
    "historyserver": 384,
    "zkfc": 128,
    "zookeeper": 128,
}


def kind_of(name: str) -> str:
    """The kind of a daemon: ``nodemanager`` for ``nodemanager-2``."""
    return name.partition("-")[0]


def title_of(name: str) -> str:
    """A daemon's name as people write it: ``NodeManager 2`` for ``nodemanager-2``."""
    kind, _, number = name.partition("-")
    return f"{TITLES[kind]} {number}".strip()


@dataclass(frozen=True)
class Launch:
    """All that starting a daemon takes.

    Attributes:
        command: the words of the command.
        environment: the whole environment: nothing of the caller's leaks in.
        directory: working directory.
        log: what it logs.
        out: its standard output and error, where a JVM says why it did not even start.
        keeps: ports that no other cluster is to take although it does not listen on them yet.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    out: Path
    keeps: tuple[int, ...] = ()


# Children of this process, by pid, kept until they end: whoever drops a Daemon must neither lose the exit code nor
# leave a zombie behind.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Daemon:
    """A daemon of a cluster.

    Attributes:
        name: ``namenode``, ``datanode``, ``resourcemanager``, ``historyserver``, ``nodemanager-N`` or ``kdc``; with
            high availability ``namenode-N``, ``resourcemanager-N``, ``zkfc-N`` and ``zookeeper``.
        addresses: property -> ``host:port`` that it listens on.
    """

    def __init__(
        self,
        name: str,
        launch: Launch,
        addresses: Mapping[str, str],
        process: ProcessId | None = None,
        *,
        changed: Callable[[str, ProcessId | None], None] = lambda _name, _process: None,
    ) -> None:
        """Describes a daemon.

        Args:
            name: its name in the cluster.
            launch: how it is started.
            addresses: where it listens.
            process: the process it has now, if it was started before.
            changed: told of every new process, and of ``None`` when it was ended on purpose.
        """
        self.name = name
        self.addresses = dict(addresses)
        self._launch = launch
        self._process = process
        self._exit_code: int | None = None
        self._changed = changed

    def __repr__(self) -> str:
        return f"<{title_of(self.name)} pid={self.pid} {'alive' if self.alive else 'dead'}>"

    @property
    def pid(self) -> int | None:
        """Its process id, also after it died; ``None`` if it never ran or was stopped."""
        return self._process.pid if self._process else None

    @property
    def process(self) -> ProcessId | None:
        """Its process, as what it can be told apart by."""
        return self._process

    @property
    def log(self) -> Path:
        """The file it logs to."""
        return self._launch.log

    @property
    def out(self) -> Path:
        """The file its standard output and error go to."""
        return self._launch.out

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        self._reap()
        return self._process is not None and self._process.alive

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; ``None`` while it runs or if another process started it."""
        self._reap()
        return self._exit_code

    def start(self) -> None:
        """Starts it on the same ports and folders as before, and does not wait until it is ready.

        Raises:
            ClusterUnavailable: it runs already, or its process could not be made.
        """
        if self.alive:
            raise ClusterUnavailable(f"{title_of(self.name)} runs already (pid {self.pid}); stop or kill it first.")
        try:
            with self._launch.out.open("ab") as out, inherited_claims(self._launch.keeps) as claims:
                child = subprocess.Popen(
                    self._launch.command,
                    env=dict(self._launch.environment),
                    cwd=self._launch.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    # A session of its own: neither Ctrl-C nor a closed terminal reaches it.
                    start_new_session=True,
                    pass_fds=claims,
                )
        except OSError as error:
            raise ClusterUnavailable(f"{title_of(self.name)} could not be started: {error}") from error
        _children[child.pid] = child
        self._exit_code = None
        self._process = ProcessId.of(child.pid)
        self._changed(self.name, self._process)

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Sends it a signal; after SIGKILL returns once it is gone, so that it can be started again at once.

        A NodeManager's containers are left alive by that, as on a node whose NodeManager crashed.
        """
        if self._process is None:
            return
        self._process.send(signum)
        if signum == signal.SIGKILL:
            wait_gone([self._process], 10.0)
            self._reap()

    def stop(self, timeout: float = 10.0) -> None:
        """Ends it in order; kills it if it takes longer than ``timeout`` seconds.

        Raises:
            ClusterUnavailable: it is still there after that.
        """
        if self._process is not None:
            left = end_all([self._process], grace=timeout)
            self._reap()
            if left:
                raise ClusterUnavailable(f"{title_of(self.name)} (pid {self.pid}) cannot be killed. Is its disk stuck?")
        self.forget()

    def forget(self) -> None:
        """Notes that it was ended on purpose."""
        self._reap()
        self._process = None
        self._changed(self.name, None)

    def last_lines(self, count: int = 15) -> list[str]:
        """The last lines it wrote: to its log, or to its output if that tells more."""
        lines: list[str] = []
        for path in (self._launch.out, self._launch.log):
            lines += tail(path, count)
        return lines[-count:]

    def _reap(self) -> None:
        child = _children.get(self.pid or 0)
        if child is not None and child.poll() is not None:
            self._exit_code = child.returncode
            del _children[child.pid]


def tail(path: Path, count: int) -> list[str]:
    """The last ``count`` lines of a file, none if it is not there."""
    try:
        with path.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - 65536))
            return handle.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []
