"""Starts daemons, as many at once as their dependencies allow, and waits until each does its work."""

from __future__ import annotations

import errno
import time
from collections.abc import Collection, Mapping

import psutil

from knit_provider.localcluster.daemon import Daemon, kind_of, title_of
from knit_provider.localcluster.formatting import Formatting
from knit_provider.localcluster.launch import Plan
from knit_provider.localcluster.ports import obstacle, split_address
from knit_provider.localcluster.process import let_idle
from knit_provider.localcluster.progress import Progress, first_lines
from knit_provider.localcluster.settings import GUESTS
from knit_provider.localcluster.users import daemon_user
from knit_provider.localcluster.web import NotReady
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

_POLL = 0.15
_HDFS = "HDFS folders"


class Startup:
    """One start of some or all daemons of a cluster."""

    def __init__(self, plan: Plan, daemons: Mapping[str, Daemon], progress: Progress, timeout: float) -> None:
        """Takes what it needs.

        Args:
            plan: how daemons are run.
            daemons: all of the cluster's.
            progress: told of every step.
            timeout: seconds until all have to be ready.
        """
        self._plan = plan
        self._daemons = daemons
        self._progress = progress
        self._timeout = timeout
        self._began = time.monotonic()
        self._ready: set[str] = set()
        self._details: dict[str, str] = {}
        self._formatting = Formatting(plan)
        # An election that was held before somebody was started again stands.
        self._elects_anew = False
        self._hdfs_ready = True

    def run(self, names: Collection[str]) -> None:
        """Starts the named daemons and returns when all of the cluster's are ready.

        Args:
            names: those to start; the others have to be running. A new HDFS is made first, with the folders that
                everybody relies on.

        Raises:
            ConfigurationError: a port is in the way.
            ClusterUnavailable: a daemon died or did not get ready in time.
        """
        self._check_ports(names)
        if "kdc" in names:
            # Everybody else logs in as soon as they start, to make a store too.
            self._start_kdc()
        waiting = [name for name in names if name != "kdc"]
        for name in waiting:
            self._progress.step(title_of(name), "waiting")
        self._elects_anew = {"zookeeper", *self._plan.all_of("zkfc")}.issubset(waiting)
        if set(waiting) >= set(self._plan.all_of("namenode")):
            self._hdfs_ready = self._plan.layout.formatted.exists()
            if not self._hdfs_ready:
                self._progress.step(title_of(self._plan.all_of("namenode")[0]), "starting", "making its store")
                self._formatting.begin()
        try:
            while waiting or len(self._ready) < len(self._daemons) or not self._hdfs_ready:
                for name in [name for name in waiting if self._may_start(name)]:
                    waiting.remove(name)
                    self._daemons[name].start()
                    self._progress.step(title_of(name), "starting")
                self._look(waiting)
                time.sleep(_POLL)
        finally:
            self._formatting.end()

    def _start_kdc(self) -> None:
        if self._plan.realm is not None:
            self._plan.realm.prepare()
        kdc = self._daemons["kdc"]
        kdc.start()
        self._progress.step(title_of("kdc"), "starting")
        while "kdc" not in self._ready:
            self._look([name for name in self._daemons if name != "kdc"])
            time.sleep(0.05)

    def _may_start(self, name: str) -> bool:
        kind = kind_of(name)
        if kind == "namenode":
            return self._formatting.stores_are_there()
        if kind == "resourcemanager":
            return "zookeeper" in self._ready or not self._plan.ha
        if kind == "zkfc":
            return "zookeeper" in self._ready and (not self._elects_anew or self._formatting.election_is_there())
        return True

    def _look(self, waiting: Collection[str]) -> None:
        for name, daemon in self._daemons.items():
            if name in self._ready or name in waiting:
                continue
            if not daemon.alive:
                raise self._died(daemon)
            try:
                self._plan.check(name)
            except NotReady as error:
                self._busy(name, str(error))
            else:
                self._ready.add(name)
                leave_the_processor(self._plan, daemon)
                self._progress.step(title_of(name), "ready", f"{time.monotonic() - self._began:.1f} s")
        if self._ready.issuperset(self._plan.all_of("namenode")) and not self._hdfs_ready:
            self._make_folders()
        if time.monotonic() - self._began > self._timeout:
            raise self._late(waiting)

    def _busy(self, name: str, detail: str) -> None:
        self._details[name] = detail
        self._progress.step(title_of(name), "starting", detail)

    def _make_folders(self) -> None:
        logs = self._plan.settings["yarn.nodemanager.remote-app-log-dir"]
        try:
            hdfs = self._plan.webhdfs()
            for path in ("/tmp", logs):  # noqa: S108 - in HDFS
                hdfs.make(path, "1777")
            # The latter is above the history server's own folders, to which everybody's applications write.
            for path in ("/user", "/mapreduce"):
                hdfs.make(path, "755")
            for owner in (daemon_user(), *GUESTS):
                hdfs.make(f"/user/{owner}", "700", owner)
        except NotReady as error:
            self._details[self._plan.all_of("namenode")[0]] = str(error)
        else:
            self._hdfs_ready = True
            self._plan.layout.formatted.touch()

    def _check_ports(self, names: Collection[str]) -> None:
        wanted: dict[tuple[str, int], str] = {}
        for name in names:
            for key, address in self._plan.addresses_of(name).items():
                what = f"{title_of(name)}'s {key}"
                host, port = split_address(address, what)
                if not port:  # any free one
                    continue
                if (host, port) in wanted:
                    raise ConfigurationError(f"{what} and {wanted[host, port]} are both {address}. They need two.")
                wanted[host, port] = what
                error = obstacle(host, port)
                if error is not None and error.errno == errno.EADDRINUSE:
                    raise ConfigurationError(f"{what} is {address}, and {_owner(port)} listens there. {_WAY_OUT}")
                if error is not None:
                    raise ConfigurationError(f"{what} is {address}, where nothing can listen: {error}")

    def _died(self, daemon: Daemon) -> ClusterUnavailable:
        self._progress.step(title_of(daemon.name), "failed")
        lines = daemon.last_lines()
        code = daemon.exit_code
        how = "" if code is None else f" with exit code {code}" if code >= 0 else f" by signal {-code}"
        reason = ""
        if any("BindException" in line or "Address already in use" in line for line in lines):
            taken = ", ".join(f"{key} {address}" for key, address in daemon.addresses.items())
            reason = f" A port is in the way: it listens on {taken}. {_WAY_OUT}"
        elif any("No space left on device" in line for line in lines):
            reason = f" The disk of {self._plan.layout.root} is full. Make room or choose another folder."
        return ClusterUnavailable(
            f"{title_of(daemon.name)} ended{how} while it was starting.{reason} The last lines of {daemon.log}:\n"
            + first_lines(lines)
        )

    def _late(self, waiting: Collection[str]) -> ClusterUnavailable:
        late = [name for name in self._daemons if name not in self._ready] or self._plan.all_of("namenode")[:1]
        # Who waits for somebody else is not to blame.
        to_blame = next((name for name in late if name not in waiting), late[0])
        for name in late:
            self._progress.step(title_of(name), "failed", self._details.get(name, ""))
        daemon = self._daemons[to_blame]
        return ClusterUnavailable(
            f"{title_of(to_blame)} was not ready within {self._timeout:.0f} s "
            f"({self._details.get(to_blame, 'not started')}). The last lines of {daemon.log}:\n"
            + first_lines(daemon.last_lines())
        )


def leave_the_processor(plan: Plan, daemon: Daemon) -> None:
    """Has a ResourceManager with Kerberos give way to everybody else; does nothing for other daemons.

    Hadoop 3.3 watches over the renewing of tokens in a loop without a pause, from when a ResourceManager becomes the
    active one.
    """
    if kind_of(daemon.name) == "resourcemanager" and plan.realm is not None and daemon.pid is not None:
        let_idle(daemon.pid, "DelegationToken")


_WAY_OUT = (
    "End that process or choose another port. Without an override for it, knit cluster down and up find a free one."
)


def _owner(port: int) -> str:
    """Who listens on a port, in words."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return "another process"
