"""High availability of the embedded Hadoop: two ResourceManagers, two NameNodes, and the ZooKeeper that decides.

Automatic failover, as on a cluster in the field. ResourceManagers elect one of them by themselves. Each NameNode has
a process beside it that watches it and takes part in the election (ZKFC). The NameNodes share their edits in a folder:
on one machine a quorum of journals would protect against nothing and cost one JVM more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from knit_provider.localcluster.ports import LOOPBACK, PortPool, split_address
from knit_provider.localcluster.settings import ADDRESSES, Layout
from knit_provider.localcluster.zookeeper import ADDRESS as ZOOKEEPER
from knit_provider.localcluster.zookeeper import locked
from knit_provider.yarn.errors import ConfigurationError

NAMESERVICE = "knit"
RM_IDS = {"resourcemanager-1": "rm1", "resourcemanager-2": "rm2"}
NN_IDS = {"namenode-1": "nn1", "namenode-2": "nn2"}
ZKFCS = {"zkfc-1": "nn1", "zkfc-2": "nn2"}
ELECTION = f"/hadoop-ha/{NAMESERVICE}"
"""Where in ZooKeeper the NameNodes are elected."""
_ZKFC_PORT = f"dfs.ha.zkfc.port.{NAMESERVICE}"
_IDS_KEY = f"dfs.ha.namenodes.{NAMESERVICE}"
# What one daemon alone would have, and what would be taken for a third one.
_OF_ONE = (
    *ADDRESSES["namenode"],
    *ADDRESSES["resourcemanager"],
    "yarn.resourcemanager.hostname",
    "yarn.resourcemanager.fs.state-store.uri",
    "dfs.namenode.name.dir",
)


def is_ha(settings: Mapping[str, str]) -> bool:
    """Whether a cluster with these settings has two of each."""
    return _IDS_KEY in settings


def add_ha(
    settings: Mapping[str, str],
    layout: Layout,
    pool: PortPool,
    *,
    overrides: Mapping[str, str],
    previous: Mapping[str, str],
    kerberos: bool = False,
) -> dict[str, str]:
    """The settings of a cluster with two ResourceManagers and two NameNodes.

    Args:
        settings: those of the same cluster with one of each.
        layout: the cluster's folder.
        pool: where free ports come from.
        overrides: settings that win over ours.
        previous: the settings of the folder's last run, whose ports are taken again if they are free.
        kerberos: nobody else may read what ResourceManagers keep in ZooKeeper, tokens for instance.

    Raises:
        ConfigurationError: an override is about one daemon, and there are two of it.
    """
    for key in _OF_ONE:
        if key in overrides:
            raise ConfigurationError(
                f"{key} is set to {overrides[key]!r}, and with high availability there are two of that daemon. Add "
                f"{' or '.join(_suffixes(key))} to the property's name."
            )
    found = {key: value for key, value in settings.items() if key not in _OF_ONE}

    def address(key: str) -> str:
        former = split_address(previous[key], "a former address")[1] if key in previous else None
        return overrides.get(key) or f"{LOOPBACK}:{pool.pick(former)}"

    zookeeper = address(ZOOKEEPER)
    for key in _suffixed_addresses():
        found[key] = address(key)
    for nn_id in ZKFCS.values():
        key = f"{_ZKFC_PORT}.{nn_id}"
        before = previous.get(key)
        found[key] = overrides.get(key) or str(pool.pick(int(before) if before else None))
    found |= _hdfs(layout, zookeeper) | _yarn(zookeeper)
    password = layout.root / "kerberos" / "zookeeper-password"
    if kerberos or password.exists():  # what was locked once stays so
        found |= locked(password)
    return {**found, **overrides}


def addresses_of(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Where one of the daemons that come in twos listens, by property."""
    if name in ZKFCS:
        key = f"{_ZKFC_PORT}.{ZKFCS[name]}"
        return {key: f"{LOOPBACK}:{settings[key]}"}
    kind, suffix = name.partition("-")[0], suffix_of(name)
    return {f"{key}{suffix}": settings[f"{key}{suffix}"] for key in ADDRESSES[kind]}


def suffix_of(name: str) -> str:
    """What the properties of a daemon end with; nothing where there is one of its kind."""
    if name in RM_IDS:
        return f".{RM_IDS[name]}"
    return f".{NAMESERVICE}.{NN_IDS[name]}" if name in NN_IDS else ""


def arguments_of(name: str, settings: Mapping[str, str]) -> tuple[str, ...]:
    """What a daemon of such a cluster is told beside its conf folder.

    That is which of the two it is: by their addresses, both are on the same machine. The history server makes its
    folders when it starts, and is told to go on asking until a NameNode is the active one.
    """
    if name in RM_IDS:
        return ("-D", f"yarn.resourcemanager.ha.id={RM_IDS[name]}")
    if nn_id := NN_IDS.get(name) or ZKFCS.get(name):
        return ("-D", f"dfs.ha.namenode.id={nn_id}")
    if name == "historyserver" and is_ha(settings):
        patience = {"max.attempts": 300, "sleep.base.millis": 200, "sleep.max.millis": 1000}
        return tuple(word for key, value in patience.items() for word in ("-D", f"dfs.client.failover.{key}={value}"))
    return ()


def names(kind: str, settings: Mapping[str, str]) -> list[str]:
    """The daemons of a kind that comes alone or in twos, ``namenode`` or ``resourcemanager``, or not: ``zkfc``."""
    if not is_ha(settings):
        return [] if kind == "zkfc" else [kind]
    return [*{"namenode": NN_IDS, "resourcemanager": RM_IDS, "zkfc": ZKFCS}[kind]]


def store_of(name: str, layout: Layout) -> Path:
    """The folder in which a NameNode keeps its image."""
    return layout.data / name.replace("namenode", "name")


def edits_of(layout: Layout) -> Path:
    """The folder in which both NameNodes find each other's edits."""
    return layout.data / "edits"


def write_fence(layout: Layout) -> None:
    """Writes the command that ends a NameNode which has lost the election and may not know it.

    Hadoop calls it after it has asked the NameNode itself in vain. One that does not listen is dead, or starts anew and
    will be a standby: it is left alone. No program that finds a process by its port is sure to be installed, so the
    command looks for the words of its command line.
    """
    path = _fence(layout)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_FENCE.format(mark=shlex.quote(f"-Dknit.cluster={layout.root}"), host=LOOPBACK))
    path.chmod(0o755)


_FENCE = """\
#!/usr/bin/env bash
# Called by the process that is about to make the other NameNode the active one.
id="${{target_namenodeid:-${{source_namenodeid:-}}}}"
port="${{target_port:-${{source_port:-}}}}"
[ -n "$id" ] && [ -n "$port" ] || exit 1
(exec 3<> "/dev/tcp/{host}/$port") 2> /dev/null || exit 0
for process in /proc/[0-9]*; do
  words="$(tr '\\0' '\\n' 2> /dev/null < "$process/cmdline")" || continue
  for word in {mark} -Dproc_namenode "dfs.ha.namenode.id=$id"; do
    grep -qxF -e "$word" <<< "$words" || continue 2
  done
  kill -9 "${{process#/proc/}}"
done
exit 0
"""


def _fence(layout: Layout) -> Path:
    return layout.home / "bin" / "fence-namenode"


def _suffixes(key: str) -> list[str]:
    of_yarn = key.startswith("yarn.")
    return [suffix_of(name) for name in (RM_IDS if of_yarn else NN_IDS)]


def _suffixed_addresses() -> Iterator[str]:
    for name in (*NN_IDS, *RM_IDS):
        for key in ADDRESSES[name.partition("-")[0]]:
            yield f"{key}{suffix_of(name)}"


def _hdfs(layout: Layout, zookeeper: str) -> dict[str, str]:
    return {
        "fs.defaultFS": f"hdfs://{NAMESERVICE}",
        "dfs.nameservices": NAMESERVICE,
        _IDS_KEY: ",".join(NN_IDS.values()),
        **{f"dfs.namenode.name.dir{suffix_of(name)}": store_of(name, layout).as_uri() for name in NN_IDS},
        "dfs.namenode.shared.edits.dir": edits_of(layout).as_uri(),
        f"dfs.client.failover.proxy.provider.{NAMESERVICE}": (
            "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        ),
        "dfs.ha.automatic-failover.enabled": "true",
        "dfs.ha.fencing.methods": f"shell({_fence(layout)})",
        "ha.zookeeper.quorum": zookeeper,
        # A standby is a second behind in place of one to two minutes, and so takes over at once.
        "dfs.ha.log-roll.period": "5",
        "dfs.ha.tail-edits.period": "1",
        # One that hangs is found out after 15 s in place of 45.
        "ha.health-monitor.rpc-timeout.ms": "15000",
        # A NameNode that is gone need not be asked for long whether it lets go.
        "ha.failover-controller.graceful-fence.rpc-timeout.ms": "2000",
    }


def _yarn(zookeeper: str) -> dict[str, str]:
    return {
        "yarn.resourcemanager.ha.enabled": "true",
        "yarn.resourcemanager.ha.rm-ids": ",".join(RM_IDS.values()),
        "yarn.resourcemanager.cluster-id": NAMESERVICE,
        **{f"yarn.resourcemanager.hostname.{rm_id}": LOOPBACK for rm_id in RM_IDS.values()},
        # The store reads the new names, and the election the old ones.
        **dict.fromkeys((ZOOKEEPER, "yarn.resourcemanager.zk-address"), zookeeper),
        # How long a dead ResourceManager counts as alive. 10 s by default; less than this is too little on a machine
        # that is busy starting other things.
        **dict.fromkeys(("hadoop.zk.timeout-ms", "yarn.resourcemanager.zk-timeout-ms"), "5000"),
        "yarn.resourcemanager.store.class": "org.apache.hadoop.yarn.server.resourcemanager.recovery.ZKRMStateStore",
        # The standby asks who is the active one, to redirect browsers. One that is gone is not worth 10 s.
        "ha.failover-controller.cli-check.rpc-timeout.ms": "2000",
    }
