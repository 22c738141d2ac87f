"""The command line, environment and readiness test of each daemon."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from knit_provider.localcluster import ha, zookeeper
from knit_provider.localcluster.daemon import HEAP_MB, MAIN_CLASSES, TITLES, Launch, kind_of
from knit_provider.localcluster.java import Java
from knit_provider.localcluster.kdc import Realm
from knit_provider.localcluster.ports import split_address
from knit_provider.localcluster.settings import ADDRESSES, NODE_ADDRESSES, Layout
from knit_provider.localcluster.tls import ca_file, is_tls
from knit_provider.localcluster.users import daemon_user
from knit_provider.localcluster.web import NotReady, Web, WebHDFS

# All that daemons, and so containers, inherit from whoever starts the cluster. A stray HADOOP_CONF_DIR, CLASSPATH or
# JAVA_TOOL_OPTIONS of the caller's would make it another cluster.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER")
# What a node's own login would have. The caller's may lead into a virtual environment that no node has.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RM_INFO = "/ws/v1/cluster/info"
_NN_STATUS = "/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus"
# The history server makes its folders in HDFS when it starts, and looks again after 10 s if nobody listened there for
# longer than these retries, of one second each, last.
_ARGUMENTS = {"historyserver": ("-D", "ipc.client.connect.max.retries=300")}


@dataclass(frozen=True)
class Plan:
    """How to run one cluster's daemons.

    Attributes:
        layout: the cluster's folder.
        java: what runs them.
        settings: shared settings.
        nodes: NodeManager -> its own settings.
        kdc: address of the KDC of a cluster with Kerberos, else empty.
    """

    layout: Layout
    java: Java
    settings: Mapping[str, str]
    nodes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kdc: str = ""

    @property
    def realm(self) -> Realm | None:
        """The cluster's own Kerberos realm, if it has one."""
        return Realm(self.layout, self.kdc) if self.kdc else None

    @property
    def web(self) -> Web:
        """The daemons' web ports, asked as their own user."""
        ca = ca_file(self.layout) if is_tls(self.settings) else None
        return Web(self.realm.signature_secret if self.realm else None, ca)

    @property
    def names(self) -> list[str]:
        """All daemons, in the order in which people think of them."""
        first = [*(["kdc"] if self.kdc else []), *(["zookeeper"] if self.ha else [])]
        storage = [*self.all_of("namenode"), *self.all_of("zkfc"), "datanode"]
        return [*first, *storage, *self.all_of("resourcemanager"), *self.nodes, "historyserver"]

    @property
    def ha(self) -> bool:
        """Whether it has two ResourceManagers and two NameNodes."""
        return ha.is_ha(self.settings)

    def all_of(self, kind: str) -> list[str]:
        """The daemons of a kind that comes alone or in twos: ``namenode``, ``resourcemanager`` or ``zkfc``."""
        return ha.names(kind, self.settings)

    def web_of(self, name: str) -> str:
        """The web address, ``host:port``, of a NameNode or ResourceManager."""
        key = {"namenode": "dfs.namenode.http-address", "resourcemanager": "yarn.resourcemanager.webapp.address"}
        return self.settings[key[kind_of(name)] + ha.suffix_of(name)]

    def active(self, kind: str) -> str:
        """Which ``namenode`` or ``resourcemanager`` is the active one.

        Raises:
            NotReady: none is.
        """
        names = self.all_of(kind)
        if len(names) == 1:
            return names[0]
        for name in names:
            try:
                if self.ha_state(name) == "active":
                    return name
            except NotReady:
                continue
        raise NotReady(f"no {TITLES[kind]} is the active one")

    def ha_state(self, name: str) -> str:
        """What a NameNode or ResourceManager says of itself: ``active``, ``standby``, or another word of Hadoop's.

        Raises:
            NotReady: it says nothing.
        """
        try:
            if kind_of(name) == "resourcemanager":
                return str(self.web.get_json(self.web_of(name), _RM_INFO)["clusterInfo"]["haState"]).lower()
            return str(self.web.get_json(self.web_of(name), _NN_STATUS)["beans"][0]["State"]).lower()
        except (KeyError, TypeError, IndexError) as error:
            raise NotReady(f"answers incompletely ({error!r})") from error

    def settings_of(self, name: str) -> Mapping[str, str]:
        """What a daemon reads: the shared settings, for a NodeManager with its own above them."""
        return {**self.settings, **self.nodes[name]} if name in self.nodes else self.settings

    def addresses_of(self, name: str) -> dict[str, str]:
        """Where a daemon listens, by property."""
        if name == "kdc":
            return {"kdc_listen": self.kdc}
        settings = self.settings_of(name)
        if name == "zookeeper":
            return {zookeeper.ADDRESS: settings[zookeeper.ADDRESS]}
        if self.ha and name in (*self.all_of("namenode"), *self.all_of("resourcemanager"), *self.all_of("zkfc")):
            return ha.addresses_of(name, settings)
        return {key: settings[key] for key in ADDRESSES.get(name, NODE_ADDRESSES)}

    def conf_of(self, name: str) -> Path:
        """The conf folder a daemon reads."""
        return self.layout.node(name) / "conf" if name in self.nodes else self.layout.conf

    def launch(self, name: str, *arguments: str) -> Launch:
        """How a daemon is started.

        Args:
            name: the daemon.
            arguments: of its main class; ``-format -nonInteractive`` makes a NameNode's store and ends.
        """
        kind = kind_of(name)
        if name == "kdc" and self.realm is not None:
            return self.realm.launch()
        log = f"{name}{'-format' if arguments else ''}.log"
        command = (
            str(self.java.executable),
            f"-Xmx{HEAP_MB[kind]}m",
            # Two cores serve everything: little compiling and one collecting thread start sooner and stay smaller.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError",
            *self.java.opens,
            "-Djava.net.preferIPv4Stack=true",
            f"-Djava.io.tmpdir={self.layout.tmp}",
            marker(self.layout.root),
            *self._kerberos_flags(),
            *(zookeeper.FLAGS if kind == "zookeeper" else ()),
            f"-Dproc_{kind}",
            "-Dhadoop.root.logger=INFO,RFA",
            f"-Dhadoop.log.dir={self.layout.logs}",
            f"-Dhadoop.log.file={log}",
            "-cp",
            f"{self.conf_of(name)}:{self.layout.jars}/*",
            MAIN_CLASSES[kind],
            *_ARGUMENTS.get(kind, ()),
            *ha.arguments_of(name, self.settings),
            *([str(self.zookeeper_config)] if kind == "zookeeper" else []),
            *arguments,
        )
        logs = self.layout.logs
        # A standby listens on none of its ports but one.
        keeps = self.addresses_of(name) if self.ha and kind == "resourcemanager" else {}
        return Launch(
            command,
            self.environment(),
            self.layout.root,
            logs / log,
            logs / log.replace(".log", ".out"),
            tuple(split_address(address, what)[1] for what, address in keeps.items()),
        )

    def ask_zookeeper(self, *words: str) -> Launch:
        """How ZooKeeper's own client is run.

        Args:
            words: its command, such as ``deleteall`` and a path.
        """
        server = self.launch("zookeeper", "client")
        flags = server.command[: server.command.index(MAIN_CLASSES["zookeeper"])]
        client = (zookeeper.CLIENT, "-waitforconnection", "-server", self.settings[zookeeper.ADDRESS])
        return replace(server, command=(*flags, *client, *words))

    @property
    def zookeeper_config(self) -> Path:
        """The file with ZooKeeper's settings, in a cluster with high availability."""
        return self.layout.home / "etc" / "zookeeper.cfg"

    def _kerberos_flags(self) -> tuple[str, ...]:
        if self.realm is None:
            return ()
        return (f"-Djava.security.krb5.conf={self.realm.krb5_conf}", f"-Djava.library.path={self.layout.native}")

    def environment(self) -> dict[str, str]:
        """The daemons' environment; NodeManagers hand a part of it on to containers."""
        home = str(self.layout.home)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        path = _PATH
        # A system, or a user, that keeps programs elsewhere.
        if not all(shutil.which(program, path=path) for program in ("bash", "python3")):
            path = f"{path}:{os.environ.get('PATH', '')}"
        return {
            **environment,
            "USER": daemon_user(),
            "PATH": f"{home}/bin:{self.java.home}/bin:{path}",
            "JAVA_HOME": str(self.java.home),
            "HADOOP_CONF_DIR": str(self.layout.conf),
            **(self.realm.environment() if self.realm else {}),
            **{f"HADOOP_{part}HOME": home for part in ("", "COMMON_", "HDFS_", "YARN_", "MAPRED_")},
        }

    def webhdfs(self) -> WebHDFS:
        """HDFS as its superuser.

        Raises:
            NotReady: no NameNode is the active one.
        """
        return WebHDFS(self.web, self.web_of(self.active("namenode")), daemon_user())

    def check(self, name: str) -> str:
        """Asks a daemon whether it does its work by now, and returns what else there is to say of it.

        Returns:
            ``active`` or ``standby`` for a NameNode or ResourceManager of two, else nothing.

        Raises:
            NotReady: it does not; the message says what is missing.
        """
        try:
            getattr(self, f"_check_{kind_of(name)}")(name)
            return self._role(name)
        except (KeyError, TypeError, IndexError) as error:
            # A daemon answers with half an object while its parts are being wired together.
            raise NotReady(f"answers incompletely ({error!r})") from error

    def _check_kdc(self, _: str) -> None:
        if self.realm is not None:
            self.realm.check()

    def _role(self, name: str) -> str:
        if not self.ha or kind_of(name) not in ("namenode", "resourcemanager"):
            return ""
        state = self.ha_state(name)
        if state == "standby":
            # It would have to become the active one where there is no other.
            self.active(kind_of(name))
        elif state != "active":
            raise NotReady(f"in state {state}")
        return state

    def _check_zookeeper(self, _: str) -> None:
        zookeeper.check(self.settings[zookeeper.ADDRESS])

    def _check_zkfc(self, name: str) -> None:
        for what, address in self.addresses_of(name).items():
            try:
                socket.create_connection(split_address(address, what), timeout=3).close()
            except OSError as error:
                raise NotReady(f"does not listen yet ({error})") from error

    def _check_namenode(self, name: str) -> None:
        state = self.web.get_json(self.web_of(name), "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")
        if not state["beans"]:
            raise NotReady("loading its image")
        # A standby waits in it for what the active one has still to tell it.
        if state["beans"][0].get("Safemode") and not (self.ha and self.ha_state(name) == "standby"):
            raise NotReady("in safe mode")

    def _check_datanode(self, _: str) -> None:
        beans = self.web.get_json(
            self.settings["dfs.datanode.http.address"], "/jmx?qry=Hadoop:service=DataNode,name=DataNodeInfo"
        )
        actors = json.loads(beans["beans"][0]["BPServiceActorInfo"]) if beans["beans"] else []
        # Its own word counts: the NameNode takes a DataNode that died for alive for a while.
        if not actors or any(actor["ActorState"] != "RUNNING" for actor in actors):
            raise NotReady("registering at the NameNode")
        query = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
        beans = self.web.get_json(self.web_of(self.active("namenode")), query)["beans"]
        if not beans or not beans[0]["NumLiveDataNodes"]:
            raise NotReady("not known to the NameNode yet")

    def _check_resourcemanager(self, name: str) -> None:
        info = self.web.get_json(self.web_of(name), _RM_INFO)["clusterInfo"]
        if info["state"] != "STARTED":
            raise NotReady(f"in state {info['state']}")

    def _check_nodemanager(self, name: str) -> None:
        own = self.nodes[name]
        info = self.web.get_json(own["yarn.nodemanager.webapp.address"], "/ws/v1/node/info")["nodeInfo"]
        manager = self.web_of(self.active("resourcemanager"))
        answer = self.web.get_json(manager, "/ws/v1/cluster/nodes?states=RUNNING,UNHEALTHY")
        port = own["yarn.nodemanager.address"].rpartition(":")[2]
        nodes = (answer["nodes"] or {}).get("node") or []
        mine = [node for node in nodes if node["id"].rpartition(":")[2] == port]
        # A report older than this process is about the one before it.
        if not mine or mine[0]["lastHealthUpdate"] < info.get("nmStartupTime", 0):
            raise NotReady("registering at the ResourceManager")
        if mine[0]["state"] == "UNHEALTHY":
            raise NotReady(f"unhealthy: {mine[0].get('healthReport')}")

    def _check_historyserver(self, _: str) -> None:
        self.web.get_json(self.settings["mapreduce.jobhistory.webapp.address"], "/ws/v1/history/info")


def marker(root: Path) -> str:
    """The word in every daemon's command line that says whose it is."""
    return f"-Dknit.cluster={root}"
