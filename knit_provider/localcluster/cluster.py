"""A real Hadoop on this machine: the stock daemons, each a process of its own, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType

from knit_provider.localcluster import ha as availability
from knit_provider.localcluster import hadoop_home, state, zookeeper
from knit_provider.localcluster.daemon import Daemon, kind_of
from knit_provider.localcluster.disk import disk_errors, require_space
from knit_provider.localcluster.guard import Guard
from knit_provider.localcluster.jars import HADOOP_VERSIONS, hadoop_jars
from knit_provider.localcluster.java import Java, find_java
from knit_provider.localcluster.kdc import Realm, find_programs, settings_for
from knit_provider.localcluster.launch import Plan, marker
from knit_provider.localcluster.leftovers import container_processes
from knit_provider.localcluster.native import native_library
from knit_provider.localcluster.ports import LOOPBACK, PortPool, split_address
from knit_provider.localcluster.process import ProcessId, end_all, processes_with
from knit_provider.localcluster.progress import Progress
from knit_provider.localcluster.settings import Layout, cluster_settings, node_settings, write_conf
from knit_provider.localcluster.startup import Startup, leave_the_processor
from knit_provider.localcluster.status import ClusterStatus, look
from knit_provider.localcluster.tls import ca_file, is_tls, tls_settings
from knit_provider.localcluster.users import daemon_user
from knit_provider.localcluster.web import NotReady
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

_NEEDED_BYTES = 1024 * 1024 * 1024
_STORAGE = ("namenode", "datanode", "kdc", "zookeeper")
KERBEROS_VERSION = "3.3.6"


class LocalCluster:
    """An embedded Hadoop in a folder.

    As a context manager it is up inside the block, ends with it however the block ends, and does not outlive this
    process; one that was up before is used and left up.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        nodes: int | None = None,
        hadoop_version: str | None = None,
        overrides: Mapping[str, str] | None = None,
        queues: Mapping[str, Mapping[str, str]] | None = None,
        progress: Progress | None = None,
        timeout: float = 300.0,
        temporary: bool = False,
        kerberos: bool | None = None,
        tls: bool | None = None,
        ha: bool | None = None,
    ) -> None:
        """Describes a cluster; nothing is started.

        Args:
            directory: its folder; ``$XDG_STATE_HOME/knit-provider/cluster`` by default.
            nodes: NodeManagers; 2 by default, or as many as it has if it is up.
            hadoop_version: 3.5.0 (default) or 3.3.6, which a cluster with Kerberos needs.
            overrides: Hadoop properties that win over ours.
            queues: queues beside ``default`` and ``other``: name -> properties (``capacity`` in percent, ``state``...).
            progress: shown the steps of ``up``.
            timeout: seconds within which every daemon has to be ready.
            temporary: delete the folder when a cluster ends that is tied to this process.
            kerberos: with a KDC of its own, and daemons that let nobody in without a ticket; False by default, or as
                the folder's last run was.
            tls: with TLS on every web port and a CA of the cluster's own; False by default, or as the last run was.
            ha: with two ResourceManagers and two NameNodes, of which one each is active, and automatic failover; False
                by default, or as the folder's last run was.
        """
        if nodes is not None and (isinstance(nodes, bool) or not isinstance(nodes, int) or not 1 <= nodes <= 32):
            raise ConfigurationError(f"nodes is {nodes!r}; it has to be a whole number from 1 to 32.")
        if hadoop_version is not None and hadoop_version not in HADOOP_VERSIONS:
            raise ConfigurationError(f"hadoop_version is {hadoop_version!r}; there are {', '.join(HADOOP_VERSIONS)}.")
        root = Path(directory) if directory is not None else state.default_directory(os.environ)
        self.directory = Path(os.path.realpath(root.expanduser()))
        self._layout = Layout(self.directory)
        self._nodes = nodes
        self._version = hadoop_version
        self._overrides = None if overrides is None else {key: str(value) for key, value in overrides.items()}
        self._queues = None if queues is None else {name: dict(value) for name, value in queues.items()}
        self._progress = progress or Progress()
        self._timeout = timeout
        self._temporary = temporary
        self._kerberos = kerberos
        self._tls = tls
        self._ha = ha
        self._guard: Guard | None = None
        self._mine = False
        self._state = state.load(self.directory)
        self._daemons: dict[str, Daemon] = {}
        self._adopt()

    def __enter__(self) -> LocalCluster:
        self.up(tied=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            self.down(delete=self._temporary)

    def up(self, *, tied: bool = False) -> bool:
        """Brings the cluster up, or what is missing of it; returns when all of it is ready.

        Args:
            tied: end it when this process ends. Otherwise, and if it was up in part before, it stays until ``down``.

        Returns:
            True if anything had to be started, False if it was all up already.

        Raises:
            ConfigurationError: something is in the way: Java, Maven, disk, a port, settings unlike those it runs with.
            ClusterUnavailable: a daemon did not come up; everything that was started has been ended again.
        """
        state.prepare_directory(self.directory)
        with disk_errors(self.directory, "The embedded Hadoop"), state.locked(self.directory, self._progress.note):
            self._reload()
            alive = [name for name, daemon in self._daemons.items() if daemon.alive]
            if alive:
                self._refuse_other_settings()
            if not alive or len(alive) < len(self._daemons):
                require_space(self.directory, _NEEDED_BYTES, "the embedded Hadoop")
            with PortPool() as pool:
                if not alive:
                    self._plan_anew(pool)
                return self._start([name for name in self._daemons if name not in alive], tied=tied)

    def down(self, *, delete: bool = False) -> bool:
        """Ends every process of the cluster, containers included. Its HDFS stays in the folder unless ``delete``.

        Args:
            delete: also delete the folder.

        Returns:
            True if anything was running.

        Raises:
            ClusterUnavailable: a process cannot be killed.
        """
        if not state.is_cluster_directory(self.directory):
            return False
        with state.locked(self.directory, self._progress.note):
            self._reload()
            ended = self._end_all(gently=not delete)
            if delete:
                shutil.rmtree(self.directory)
                self._state = None
                self._daemons = {}
        self._mine = False
        self._dismiss_guard()
        return ended

    def status(self) -> ClusterStatus:
        """What runs, what does not, and where it listens."""
        self._reload()
        return look(self.directory, self._state, self._daemons, self._plan if self._state else None)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until every daemon does its work, for instance after one was killed and started again.

        Args:
            timeout: seconds; the cluster's own by default.

        Raises:
            ClusterUnavailable: one died or is not ready in time.
        """
        Startup(self._plan, self._daemons, Progress(), self._timeout if timeout is None else timeout).run(())

    def add_node(self) -> Daemon:
        """Starts one more NodeManager and returns it when the ResourceManager counts on it."""
        with state.locked(self.directory):
            self._reload()
            number = 1 + max((int(name.rpartition("-")[2]) for name in self._running().nodes), default=0)
            name = f"nodemanager-{number}"
            with PortPool() as pool:
                overrides = self._running().overrides
                own = node_settings(self._layout, name, pool, overrides=overrides, previous={})
                self._change(lambda current: current.nodes.update({name: own}))
                self._write_node(name)
                daemon = self._daemons[name]
                try:
                    Startup(self._plan, self._daemons, Progress(), self._timeout).run([name])
                except BaseException:
                    daemon.stop(0)
                    self._change(lambda current: (current.nodes.pop(name), current.daemons.pop(name)))
                    raise
            return daemon

    @property
    def daemons(self) -> dict[str, Daemon]:
        """All: ``namenode``, ``datanode``, ``resourcemanager``, ``historyserver``, ``nodemanager-N``, ``kdc``.

        With high availability ``namenode-N`` and ``resourcemanager-N`` in twos, ``zkfc-N`` beside the NameNodes, and
        ``zookeeper``.
        """
        self._reload()
        return dict(self._daemons)

    @property
    def nodes(self) -> list[Daemon]:
        """The NodeManagers."""
        self._reload()
        return [daemon for name, daemon in self._daemons.items() if kind_of(name) == "nodemanager"]

    @property
    def ha(self) -> bool:
        """Whether it has two ResourceManagers and two NameNodes."""
        return availability.is_ha(self._known().settings)

    def active(self, kind: str) -> Daemon:
        """The active one of the daemons of a kind, ``resourcemanager`` or ``namenode``.

        Raises:
            ClusterUnavailable: none is, for instance while another one takes over.
        """
        return self.daemons[self._active(kind)]

    def standby(self, kind: str) -> Daemon:
        """The other one; it need not be alive.

        Raises:
            ClusterUnavailable: none is active, or there is one only.
        """
        active = self._active(kind)
        others = [name for name in self._plan.all_of(kind) if name != active]
        if not others:
            raise ClusterUnavailable(f"The cluster in {self.directory} has one {kind} only: knit cluster up --ha")
        return self.daemons[others[0]]

    def _active(self, kind: str) -> str:
        self._known()
        try:
            name = self._plan.active(kind)
        except NotReady as error:
            raise ClusterUnavailable(f"The cluster in {self.directory}: {error}.") from error
        leave_the_processor(self._plan, self._daemons[name])  # it may have taken over since it was started
        return name

    @property
    def kerberos(self) -> bool:
        """Whether it is a cluster with Kerberos."""
        return bool(self._known().kdc)

    @property
    def tls(self) -> bool:
        """Whether its web ports have TLS."""
        return is_tls(self._known().settings)

    @property
    def ca(self) -> Path:
        """The CA's certificate (PEM) of a cluster with TLS."""
        return ca_file(self._layout)

    @property
    def scheme(self) -> str:
        """Of its web ports: ``"http"``, or ``"https"`` with TLS."""
        return "https" if self.tls else "http"

    @property
    def realm(self) -> Realm:
        """The Kerberos realm: its ``krb5_conf``, ``users``, ``principal(user)``, ``keytab(user)`` and ``ticket(user)``.

        Raises:
            ConfigurationError: the cluster has none.
        """
        found = self._plan.realm
        if found is None:
            raise ConfigurationError(f"The cluster in {self.directory} has no Kerberos: knit cluster up --kerberos")
        return found

    @property
    def keytabs(self) -> dict[str, Path]:
        """User -> keytab, in a cluster with Kerberos."""
        return {user: self.realm.keytab(user) for user in self.realm.users}

    @property
    def settings(self) -> dict[str, str]:
        """Every setting that the whole cluster shares."""
        return dict(self._known().settings)

    @property
    def plan(self) -> Plan:
        """How its daemons are run and asked."""
        self._known()
        return self._plan

    @property
    def hadoop_version(self) -> str:
        """Hadoop's version."""
        return self._known().hadoop_version

    @property
    def conf_dir(self) -> Path:
        """What to use as ``HADOOP_CONF_DIR``."""
        return self._layout.conf

    @property
    def hadoop_home(self) -> Path:
        """What to use as ``HADOOP_HOME``: has ``bin/hadoop``, ``bin/yarn``, ``bin/hdfs`` and the rest."""
        return self._layout.home

    @property
    def rm_web(self) -> str:
        """The ResourceManager's web address, ``host:port``; of two, the active one's."""
        return self._plan.web_of(self._active("resourcemanager"))

    @property
    def namenode(self) -> str:
        """The NameNode's RPC address, ``host:port``; of two, the active one's."""
        name = self._active("namenode")
        return self._known().settings[f"dfs.namenode.rpc-address{availability.suffix_of(name)}"]

    @property
    def namenode_web(self) -> str:
        """The NameNode's web address (WebHDFS too), ``host:port``; of two, the active one's."""
        return self._plan.web_of(self._active("namenode"))

    @property
    def history_web(self) -> str:
        """The JobHistoryServer's web address, ``host:port``."""
        return self._known().settings["mapreduce.jobhistory.webapp.address"]

    def env(self) -> dict[str, str]:
        """The variables that make other programs use this cluster.

        With Kerberos ``KRB5CCNAME`` is among them, a cache with a fresh ticket of the daemons' user.
        """
        kerberos = {}
        if self.kerberos:
            kerberos = {**self.realm.environment(), "KRB5CCNAME": f"FILE:{self.realm.cache}"}
            if self._daemons["kdc"].alive:
                self.realm.ticket(daemon_user(), self.realm.cache)
        return {
            "HADOOP_CONF_DIR": str(self.conf_dir),
            "HADOOP_HOME": str(self.hadoop_home),
            "JAVA_HOME": self._known().java_home,
            **kerberos,
        }

    def _start(self, names: Collection[str], *, tied: bool) -> bool:
        startup = Startup(self._plan, self._daemons, self._progress, self._timeout)
        if len(names) < len(self._daemons):
            try:
                startup.run(names)
            except BaseException:
                # What ran before goes on running.
                end_all([process for name in names if (process := self._daemons[name].process)], grace=0)
                raise
            return bool(names)
        guard = Guard(self.directory, self._running().generation, delete=tied and self._temporary)
        try:
            startup.run(names)
        except BaseException:
            self._end_all(gently=False)
            guard.dismiss()
            raise
        self._mine = tied
        if tied:
            self._guard = guard
            guard.hold()
        else:
            guard.dismiss()
        return True

    def _plan_anew(self, pool: PortPool) -> None:
        """Settles settings and ports of a cluster that is down, and writes its folder."""
        previous = self._state
        kerberos = self._kerberos if self._kerberos is not None else bool(previous and previous.kdc)
        version = self._version_for(kerberos)
        if previous and previous.hadoop_version != version and self._layout.formatted.exists():
            raise ConfigurationError(
                f"The HDFS in {self.directory} was made by Hadoop {previous.hadoop_version}; {version} cannot use it. "
                "Choose another folder, or delete this one: knit cluster down --delete"
            )
        ha = self._ha if self._ha is not None else bool(previous and availability.is_ha(previous.settings))
        tls = self._tls if self._tls is not None else bool(previous and is_tls(previous.settings))
        if previous and availability.is_ha(previous.settings) != ha and self._layout.formatted.exists():
            made, wanted = ("without", "with") if ha else ("with", "without")
            raise ConfigurationError(
                f"The HDFS in {self.directory} was made {made} high availability, and is of no use "
                f"{wanted} it. Choose another folder, or delete this one: knit cluster down --delete"
            )
        java = find_java(os.environ, version)
        jars = hadoop_jars(version, report=self._progress.note)
        native = native_library(report=self._progress.note) if kerberos else None
        # Containers of dead NodeManagers, or a daemon of a start that died before it could write down its pid.
        self._sweep()
        for folder in (self._layout.logs, self._layout.tmp, self._layout.data):
            folder.mkdir(exist_ok=True)
        overrides = self._overrides or {}
        queues = self._queues or {}
        kdc = ""
        if kerberos:
            find_programs()
            before_it = split_address(previous.kdc, "the former KDC")[1] if previous and previous.kdc else None
            kdc = f"{LOOPBACK}:{pool.pick(before_it)}"
        former = previous.settings if previous else {}
        settings = cluster_settings(
            self._layout,
            pool,
            overrides=overrides,
            queues=queues,
            previous=former,
            security=settings_for(Realm(self._layout, kdc)) if kdc else None,
        )
        if ha:
            settings = availability.add_ha(
                settings, self._layout, pool, overrides=overrides, previous=former, kerberos=kerberos
            )
        if tls:
            settings = {**settings, **tls_settings(self._layout, settings), **overrides}
        nodes = {}
        for number in range(1, (self._nodes or 2) + 1):
            name = f"nodemanager-{number}"
            before = previous.nodes.get(name, {}) if previous else {}
            nodes[name] = node_settings(self._layout, name, pool, overrides=overrides, previous=before)
        self._state = state.State(
            generation=secrets.token_hex(8),
            up=True,
            hadoop_version=version,
            java_home=str(java.home),
            java_major=java.major,
            settings=settings,
            nodes=nodes,
            overrides=overrides,
            queues=queues,
            started=time.time(),
            kdc=kdc,
        )
        hadoop_home.build(self._layout, jars, java, version, native)
        write_conf(self._layout.conf, settings)
        if ha:
            availability.write_fence(self._layout)
            zookeeper.write_config(
                self._plan.zookeeper_config, self._layout.data / "zookeeper", settings[zookeeper.ADDRESS]
            )
        shutil.rmtree(self.directory / "nodes", ignore_errors=True)
        for name in nodes:
            self._write_node(name)
        state.save(self.directory, self._state)
        # Those of the last run know its ports.
        self._daemons = {}
        self._adopt()

    def _version_for(self, kerberos: bool) -> str:
        default = KERBEROS_VERSION if kerberos else HADOOP_VERSIONS[0]
        version = self._version or (self._state.hadoop_version if self._state else default)
        if kerberos and version != KERBEROS_VERSION:
            raise ConfigurationError(
                f"A cluster with Kerberos runs Hadoop {KERBEROS_VERSION}, not {version}: there the NodeManagers "
                "refuse to aggregate logs without a native library, and none is published for that version. "
                + ("Leave hadoop_version out." if self._version else "Choose another folder.")
            )
        return version

    def _write_node(self, name: str) -> None:
        write_conf(self._plan.conf_of(name), self._plan.settings_of(name))

    def _end_all(self, *, gently: bool) -> bool:
        grace = 8.0 if gently else 0.0
        storage = [d.process for name, d in self._daemons.items() if kind_of(name) in _STORAGE and d.process]
        others = [d.process for name, d in self._daemons.items() if kind_of(name) not in _STORAGE and d.process]
        running = any(process.alive for process in [*storage, *others])
        # HDFS last: a NodeManager that ends uploads its containers' logs.
        left = end_all(others, grace=grace) + end_all(storage, grace=grace)
        left += self._sweep()
        for daemon in self._daemons.values():
            daemon.forget()
        if self._state is not None:
            self._state.up = False
            state.save(self.directory, self._state)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise ClusterUnavailable(f"These processes of the cluster in {self.directory} cannot be killed: {pids}.")
        return running

    def _sweep(self) -> list[ProcessId]:
        """Kills what bears the cluster's mark, and returns what is still there."""
        words = [marker(self.directory), Realm(self._layout, "").marker]
        ours = [process for word in words for process in processes_with(word)]
        return end_all([*ours, *container_processes(self.directory)], grace=0)

    def _refuse_other_settings(self) -> None:
        current = self._running()
        for what, asked, has in (
            ("nodes", self._nodes, len(current.nodes)),
            ("hadoop_version", self._version, current.hadoop_version),
            ("overrides", self._overrides, current.overrides),
            ("queues", self._queues, current.queues),
            ("kerberos", self._kerberos, bool(current.kdc)),
            ("tls", self._tls, is_tls(current.settings)),
            ("ha", self._ha, availability.is_ha(current.settings)),
        ):
            if asked is not None and asked != has:
                raise ConfigurationError(
                    f"The cluster in {self.directory} is up already, with {what} {has}, not {asked}. "
                    "Take it down first (knit cluster down), or choose another folder."
                )

    def _reload(self) -> None:
        fresh = state.load(self.directory)
        if fresh is None or self._state is None or fresh.generation != self._state.generation:
            self._state = fresh
            self._daemons = {}
        elif fresh != self._state:
            self._state = fresh
        self._adopt()

    def _adopt(self) -> None:
        """Makes the daemons' objects fit the state; those that are right already stay, as they hold child processes."""
        if self._state is None:
            return
        for name in self._plan.names:
            daemon = self._daemons.get(name)
            if daemon is None or daemon.process != self._state.daemons.get(name):
                self._daemons[name] = self._daemon(name)
        self._daemons = {name: self._daemons[name] for name in self._plan.names}

    def _daemon(self, name: str) -> Daemon:
        process = self._known().daemons.get(name)
        return Daemon(name, self._plan.launch(name), self._plan.addresses_of(name), process, changed=self._note)

    def _note(self, name: str, process: ProcessId | None) -> None:
        self._known().daemons[name] = process
        state.change(self.directory, self._known().generation, lambda current: current.daemons.update({name: process}))

    def _change(self, how: Callable[[state.State], object]) -> None:
        state.change(self.directory, self._known().generation, how)
        self._reload()

    @property
    def _plan(self) -> Plan:
        current = self._known()
        java = Java(Path(current.java_home), current.java_major)
        return Plan(self._layout, java, current.settings, current.nodes, current.kdc)

    def _known(self) -> state.State:
        if self._state is None:
            raise ClusterUnavailable(
                f"No cluster was ever up in {self.directory}. Start it: knit cluster up --directory {self.directory}"
            )
        return self._state

    def _running(self) -> state.State:
        current = self._known()
        if not current.up:
            raise ClusterUnavailable(
                f"The cluster in {self.directory} is down. Start it: knit cluster up --directory {self.directory}"
            )
        return current

    def _dismiss_guard(self) -> None:
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None


def end_generation(root: Path, generation: str, *, delete: bool) -> None:
    """Ends one run of the cluster in a folder, and perhaps deletes the folder; a later run is left alone."""
    if not state.is_cluster_directory(root):
        return
    current = state.load(root)
    if current is not None and current.generation == generation and current.up:
        LocalCluster(root).down(delete=delete)
