"""Every setting of the embedded Hadoop, and why it has the value it has."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knit_provider.localcluster.ports import LOOPBACK, PortPool, split_address
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.errors import ConfigurationError

# Every port that a daemon listens on, by the property that names it.
ADDRESSES: Mapping[str, tuple[str, ...]] = {
    "namenode": ("dfs.namenode.rpc-address", "dfs.namenode.http-address"),
    "datanode": ("dfs.datanode.address", "dfs.datanode.http.address", "dfs.datanode.ipc.address"),
    "resourcemanager": (
        "yarn.resourcemanager.address",
        "yarn.resourcemanager.scheduler.address",
        "yarn.resourcemanager.resource-tracker.address",
        "yarn.resourcemanager.admin.address",
        "yarn.resourcemanager.webapp.address",
    ),
    "historyserver": (
        "mapreduce.jobhistory.address",
        "mapreduce.jobhistory.admin.address",
        "mapreduce.jobhistory.webapp.address",
    ),
}
NODE_ADDRESSES = ("yarn.nodemanager.address", "yarn.nodemanager.localizer.address", "yarn.nodemanager.webapp.address")

# Users that have a home directory in HDFS and a group of their own though the operating system knows neither.
GUESTS = ("alice", "bob")
_QUEUES: Mapping[str, Mapping[str, str]] = {"other": {"capacity": "30"}}
_CAPACITY = "yarn.scheduler.capacity"
_SMALL_JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Layout:
    """Where things are in a cluster's folder."""

    root: Path

    @property
    def home(self) -> Path:
        """The folder that plays ``HADOOP_HOME``."""
        return self.root / "hadoop"

    @property
    def conf(self) -> Path:
        """The folder that plays ``HADOOP_CONF_DIR``."""
        return self.home / "etc" / "hadoop"

    @property
    def jars(self) -> Path:
        """Link to the cached jars."""
        return self.home / "share" / "hadoop" / "common"

    @property
    def native(self) -> Path:
        """Link to the cached native library, in a cluster with Kerberos."""
        return self.home / "lib" / "native"

    @property
    def data(self) -> Path:
        """What outlives a restart: HDFS and the ResourceManager's memory."""
        return self.root / "data"

    @property
    def formatted(self) -> Path:
        """A mark that HDFS was made, with the folders that everybody relies on."""
        return self.data / "formatted"

    @property
    def logs(self) -> Path:
        """The daemons' logs."""
        return self.root / "logs"

    @property
    def tmp(self) -> Path:
        """Scratch space of the daemons."""
        return self.root / "tmp"

    def node(self, name: str) -> Path:
        """The folder of one NodeManager: its conf, its containers and their logs."""
        return self.root / "nodes" / name


def cluster_settings(
    layout: Layout,
    pool: PortPool,
    *,
    overrides: Mapping[str, str],
    queues: Mapping[str, Mapping[str, str]],
    previous: Mapping[str, str],
    security: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All settings that the whole cluster shares.

    Args:
        layout: the cluster's folder.
        pool: where free ports come from.
        overrides: settings that win over ours.
        queues: further queues below ``root``: name -> properties of it (``capacity`` in percent, ``state``, ...).
        previous: the settings of the folder's last run, whose ports are taken again if they are free, so that a shell
            that has evaluated ``env`` stays right.
        security: what makes it a cluster with Kerberos.
    """
    settings: dict[str, str] = {}
    for properties in ADDRESSES.values():
        for key in properties:
            settings[key] = overrides.get(key) or f"{LOOPBACK}:{pool.pick(_port(previous.get(key)))}"
    settings.update(_hdfs(layout, settings))
    settings.update(_yarn(layout, settings))
    settings.update(_mapreduce(layout))
    settings.update(_scheduler(queues))
    settings.update(security or {})
    settings.update(overrides)
    return settings


def node_settings(
    layout: Layout, name: str, pool: PortPool, *, overrides: Mapping[str, str], previous: Mapping[str, str]
) -> dict[str, str]:
    """What differs from NodeManager to NodeManager: ports and folders."""
    folder = layout.node(name)
    settings = {
        key: overrides.get(key) or f"{LOOPBACK}:{pool.pick(_port(previous.get(key)))}" for key in NODE_ADDRESSES
    }
    settings["yarn.nodemanager.local-dirs"] = str(folder / "local")
    settings["yarn.nodemanager.log-dirs"] = str(folder / "containers")
    settings["yarn.nodemanager.recovery.dir"] = str(folder / "recovery")
    return settings | {key: value for key, value in overrides.items() if key in settings}


def _hdfs(layout: Layout, addresses: Mapping[str, str]) -> dict[str, str]:
    user = daemon_user()
    return {
        "fs.defaultFS": f"hdfs://{addresses['dfs.namenode.rpc-address']}",
        "hadoop.tmp.dir": str(layout.tmp),
        f"hadoop.proxyuser.{user}.hosts": "*",
        f"hadoop.proxyuser.{user}.users": "*",
        f"hadoop.proxyuser.{user}.groups": "*",
        # Else each mention of them forks `id`, which fails, and fills the logs.
        "hadoop.user.group.static.mapping.overrides": "dr.who=;" + ";".join(f"{guest}={guest}" for guest in GUESTS),
        "dfs.namenode.name.dir": (layout.data / "name").as_uri(),
        "dfs.datanode.data.dir": (layout.data / "blocks").as_uri(),
        "dfs.replication": "1",
        "dfs.permissions.enabled": "true",
        "dfs.webhdfs.enabled": "true",
        # WebHDFS sends clients to the DataNode by this name.
        "dfs.datanode.hostname": LOOPBACK,
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        # A NameNode that starts anew would else refuse writes for 30 s.
        "dfs.namenode.safemode.extension": "0",
        # A dead DataNode is known as dead after 20 s in place of 10 minutes.
        "dfs.heartbeat.interval": "1",
        "dfs.namenode.heartbeat.recheck-interval": "5000",
        # No fsync per edit: this HDFS has to outlive killed processes, not a power cut.
        "dfs.namenode.edits.noeditlogchannelflush": "true",
        "dfs.namenode.resource.du.reserved": str(16 * 1024 * 1024),
    }


def _yarn(layout: Layout, addresses: Mapping[str, str]) -> dict[str, str]:
    classpath = f"{layout.conf},{layout.jars}/*"
    return {
        "yarn.resourcemanager.hostname": LOOPBACK,
        "yarn.nodemanager.hostname": LOOPBACK,
        # The conf folder first: an ApplicationMaster without it reads defaults and dials 0.0.0.0:8030.
        "yarn.application.classpath": classpath,
        "yarn.resourcemanager.scheduler.class": (
            "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.CapacityScheduler"
        ),
        "yarn.scheduler.minimum-allocation-mb": "64",
        "yarn.scheduler.maximum-allocation-mb": "4096",
        "yarn.scheduler.maximum-allocation-vcores": "32",
        "yarn.scheduler.include-port-in-node-name": "true",
        # Accounting only: the machine need not have them.
        "yarn.nodemanager.resource.memory-mb": "8192",
        "yarn.nodemanager.resource.cpu-vcores": "64",
        "yarn.nodemanager.vmem-check-enabled": "false",
        # Hadoop leaves the physical check to cgroups unless told otherwise, and there are none here.
        "yarn.nodemanager.resource.memory.enforced": "false",
        # Else a nearly full disk makes the nodes unhealthy. `up` looks at the room by itself: of a large disk, what is
        # enough here is less than any percentage.
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "100.0",
        "yarn.nodemanager.env-whitelist": (
            "JAVA_HOME,HADOOP_HOME,HADOOP_CONF_DIR,HADOOP_COMMON_HOME,HADOOP_HDFS_HOME,HADOOP_YARN_HOME,HADOOP_MAPRED_HOME,"
            "CLASSPATH_PREPEND_DISTCACHE,PATH,LANG,TZ,KRB5_CONFIG"
        ),
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "1000",
        # After a restart everybody is back within a second or two, not within half a minute.
        "yarn.resourcemanager.connect.retry-interval.ms": "1000",
        # What is lost is found lost within a test's patience: 10 minutes each by default.
        "yarn.am.liveness-monitor.expiry-interval-ms": "60000",
        "yarn.nm.liveness-monitor.expiry-interval-ms": "30000",
        "yarn.resourcemanager.rm.container-allocation.expiry-interval-ms": "30000",
        "yarn.resourcemanager.max-completed-applications": "200",
        # A ResourceManager that starts anew keeps its applications, and they keep running.
        "yarn.resourcemanager.recovery.enabled": "true",
        "yarn.resourcemanager.work-preserving-recovery.enabled": "true",
        "yarn.resourcemanager.work-preserving-recovery.scheduling-wait-ms": "1000",
        "yarn.resourcemanager.store.class": (
            "org.apache.hadoop.yarn.server.resourcemanager.recovery.FileSystemRMStateStore"
        ),
        "yarn.resourcemanager.fs.state-store.uri": (layout.data / "resourcemanager").as_uri(),
        # By default a folder in /tmp that all clusters of a user share.
        "yarn.node-attribute.fs-store.root-dir": (layout.data / "node-attributes").as_uri(),
        "yarn.log-aggregation-enable": "true",
        "yarn.log-aggregation.retain-seconds": "604800",
        "yarn.log-aggregation.retain-check-interval-seconds": "600",
        "yarn.nodemanager.remote-app-log-dir": "/tmp/logs",  # noqa: S108 - in HDFS
        "yarn.log.server.url": f"http://{addresses['mapreduce.jobhistory.webapp.address']}/jobhistory/logs",
        "yarn.log.server.web-service.url": f"http://{addresses['mapreduce.jobhistory.webapp.address']}/ws/v1/history",
    }


def _mapreduce(layout: Layout) -> dict[str, str]:
    return {
        "mapreduce.framework.name": "yarn",
        "mapreduce.application.classpath": f"{layout.jars}/*",
        # A small job runs inside its ApplicationMaster. A larger one needs the shuffle service on the nodes, which
        # cannot be kept to loopback and so is left to an override.
        "mapreduce.job.ubertask.enable": "true",
        "mapreduce.shuffle.port": "0",
        "yarn.app.mapreduce.am.command-opts": f"-Xmx512m {_SMALL_JVM}",
        "mapreduce.map.java.opts": _SMALL_JVM,
        "mapreduce.reduce.java.opts": _SMALL_JVM,
        # Not below /tmp, so that nobody has to own the path above everybody's staging folder.
        "yarn.app.mapreduce.am.staging-dir": "/user",
        "mapreduce.jobhistory.done-dir": "/mapreduce/done",
        "mapreduce.jobhistory.intermediate-done-dir": "/mapreduce/intermediate",
    }


def _scheduler(extra: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    queues = {**_QUEUES, **extra}
    for name, properties in extra.items():
        if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
            raise ConfigurationError(f"{name!r} is no name for a queue: letters, digits, - and _ are.")
        if not str(properties.get("capacity", "5")).isdigit():
            raise ConfigurationError(
                f"capacity of queue {name!r} is {properties['capacity']!r}; it is a whole percentage."
            )
    rest = 100 - sum(int(properties.get("capacity", "5")) for name, properties in queues.items() if name != "default")
    if rest < 0:
        raise ConfigurationError(f"The capacities of the queues {', '.join(queues)} add up to more than 100.")
    names = ["default", *(name for name in queues if name != "default")]
    settings = {
        f"{_CAPACITY}.root.queues": ",".join(names),
        f"{_CAPACITY}.maximum-am-resource-percent": "1.0",
        # Cores count too, as on the clusters that the big distributions set up.
        f"{_CAPACITY}.resource-calculator": "org.apache.hadoop.yarn.util.resource.DominantResourceCalculator",
        f"{_CAPACITY}.node-locality-delay": "0",
    }
    for name in names:
        properties = {
            "capacity": str(rest) if name == "default" else "5",
            "maximum-capacity": "100",
            "user-limit-factor": "100",
            "maximum-am-resource-percent": "1.0",
            "state": "RUNNING",
            **({} if name == "default" else queues[name]),
            **({key: value for key, value in queues.get("default", {}).items() if name == "default"}),
        }
        settings.update({f"{_CAPACITY}.root.{name}.{key}": str(value) for key, value in properties.items()})
    return settings


_FILES = (
    # First match wins; what matches none goes into core-site.xml, which every daemon and client reads.
    ("capacity-scheduler.xml", (f"{_CAPACITY}.",)),
    ("ssl-server.xml", ("ssl.server.",)),
    ("ssl-client.xml", ("ssl.client.",)),
    ("hdfs-site.xml", ("dfs.",)),
    ("mapred-site.xml", ("mapreduce.", "yarn.app.mapreduce.", "mapred.")),
    ("yarn-site.xml", ("yarn.",)),
    ("core-site.xml", ("",)),
)


def write_conf(folder: Path, settings: Mapping[str, str]) -> None:
    """Writes a Hadoop conf folder: the site files, the scheduler's and the log settings."""
    folder.mkdir(parents=True, exist_ok=True)
    left = dict(settings)
    for name, prefixes in _FILES:
        chosen = {key: left.pop(key) for key in sorted(left) if key.startswith(prefixes)}
        if not chosen and name.startswith("ssl-"):  # whose absence says that there is no TLS
            (folder / name).unlink(missing_ok=True)
            continue
        root = ET.Element("configuration")
        for key, value in chosen.items():
            node = ET.SubElement(root, "property")
            ET.SubElement(node, "name").text = key
            ET.SubElement(node, "value").text = value
        ET.indent(root)
        (folder / name).write_text('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n")
    (folder / "log4j.properties").write_text(_LOG4J)


def _port(address: str | None) -> int | None:
    return split_address(address, "a former address")[1] if address else None


# Clients log to stderr; the daemons are started with RFA and a file of their own.
_LOG4J = """\
hadoop.root.logger=INFO,console
hadoop.log.dir=.
hadoop.log.file=hadoop.log
log4j.rootLogger=${hadoop.root.logger}
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c{2}: %m%n
log4j.appender.RFA=org.apache.log4j.RollingFileAppender
log4j.appender.RFA.File=${hadoop.log.dir}/${hadoop.log.file}
log4j.appender.RFA.MaxFileSize=32MB
log4j.appender.RFA.MaxBackupIndex=2
log4j.appender.RFA.layout=org.apache.log4j.PatternLayout
log4j.appender.RFA.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
"""
