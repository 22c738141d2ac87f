"""The command line, environment and readiness test of each daemon."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from knit_provider.localcluster.daemon import HEAP_MB, MAIN_CLASSES, Launch, kind_of
from knit_provider.localcluster.java import Java
from knit_provider.localcluster.kdc import Realm
from knit_provider.localcluster.settings import ADDRESSES, NODE_ADDRESSES, Layout
from knit_provider.localcluster.tls import ca_file, is_tls
from knit_provider.localcluster.users import daemon_user
from knit_provider.localcluster.web import NotReady, Web, WebHDFS

# All that daemons, and so containers, inherit from whoever starts the cluster. A stray HADOOP_CONF_DIR, CLASSPATH or
# JAVA_TOOL_OPTIONS of the caller's would make it another cluster.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER")
# What a node's own login would have. The caller's may lead into a virtual environment that no node has.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
        first = ["kdc"] if self.kdc else []
        return [*first, "namenode", "datanode", "resourcemanager", *self.nodes, "historyserver"]

    def settings_of(self, name: str) -> Mapping[str, str]:
        """What a daemon reads: the shared settings, for a NodeManager with its own above them."""
        return {**self.settings, **self.nodes[name]} if name in self.nodes else self.settings

    def addresses_of(self, name: str) -> dict[str, str]:
        """Where a daemon listens, by property."""
        if name == "kdc":
            return {"kdc_listen": self.kdc}
        settings = self.settings_of(name)
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
            f"-Dproc_{kind}",
            "-Dhadoop.root.logger=INFO,RFA",
            f"-Dhadoop.log.dir={self.layout.logs}",
            f"-Dhadoop.log.file={log}",
            "-cp",
            f"{self.conf_of(name)}:{self.layout.jars}/*",
            MAIN_CLASSES[kind],
            *_ARGUMENTS.get(kind, ()),
            *arguments,
        )
        logs = self.layout.logs
        return Launch(command, self.environment(), self.layout.root, logs / log, logs / log.replace(".log", ".out"))

    def _kerberos_flags(self) -> tuple[str, ...]:
        if self.realm is None:
            return ()
        return (f"-Djava.security.krb5.conf={self.realm.krb5_conf}", f"-Djava.library.path={self.layout.native}")

    def environment(self) -> dict[str, str]:
        """The daemons' environment; NodeManagers hand a part of it on to containers."""
        home = str(self.layout.home)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        path = _PATH
        if shutil.which("bash", path=path) is None:  # a system that keeps its programs elsewhere
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
        """HDFS as its superuser."""
        return WebHDFS(self.web, self.settings["dfs.namenode.http-address"], daemon_user())

    def check(self, name: str) -> None:
        """Asks a daemon whether it does its work by now.

        Raises:
            NotReady: it does not; the message says what is missing.
        """
        try:
            getattr(self, f"_check_{kind_of(name)}")(name)
        except (KeyError, TypeError, IndexError) as error:
            # A daemon answers with half an object while its parts are being wired together.
            raise NotReady(f"answers incompletely ({error!r})") from error

    def _check_kdc(self, _: str) -> None:
        if self.realm is not None:
            self.realm.check()

    def _check_namenode(self, _: str) -> None:
        state = self.web.get_json(
            self.settings["dfs.namenode.http-address"], "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
        )
        if not state["beans"]:
            raise NotReady("loading its image")
        if state["beans"][0].get("Safemode"):
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
        beans = self.web.get_json(self.settings["dfs.namenode.http-address"], query)["beans"]
        if not beans or not beans[0]["NumLiveDataNodes"]:
            raise NotReady("not known to the NameNode yet")

    def _check_resourcemanager(self, _: str) -> None:
        info = self.web.get_json(self.settings["yarn.resourcemanager.webapp.address"], "/ws/v1/cluster/info")[
            "clusterInfo"
        ]
        if info["state"] != "STARTED":
            raise NotReady(f"in state {info['state']}")

    def _check_nodemanager(self, name: str) -> None:
        own = self.nodes[name]
        info = self.web.get_json(own["yarn.nodemanager.webapp.address"], "/ws/v1/node/info")["nodeInfo"]
        answer = self.web.get_json(
            self.settings["yarn.resourcemanager.webapp.address"], "/ws/v1/cluster/nodes?states=RUNNING"
        )
        port = own["yarn.nodemanager.address"].rpartition(":")[2]
        nodes = (answer["nodes"] or {}).get("node") or []
        mine = [node for node in nodes if node["id"].rpartition(":")[2] == port]
        # A report older than this process is about the one before it.
        if not mine or mine[0]["lastHealthUpdate"] < info.get("nmStartupTime", 0):
            raise NotReady("registering at the ResourceManager")

    def _check_historyserver(self, _: str) -> None:
        self.web.get_json(self.settings["mapreduce.jobhistory.webapp.address"], "/ws/v1/history/info")


def marker(root: Path) -> str:
    """The word in every daemon's command line that says whose it is."""
    return f"-Dknit.cluster={root}"
