"""What a cluster looks like from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from knit_provider.localcluster.daemon import Daemon, title_of
from knit_provider.localcluster.launch import Plan
from knit_provider.localcluster.state import State
from knit_provider.localcluster.tls import is_tls
from knit_provider.localcluster.web import NotReady


@dataclass(frozen=True)
class DaemonStatus:
    """One daemon.

    Attributes:
        state: ``ready``, ``not ready`` or ``dead``.
        detail: what it lacks; of two NameNodes or ResourceManagers that are ready, ``active`` or ``standby``.
        addresses: property -> where it listens.
    """

    name: str
    title: str
    pid: int | None
    state: str
    detail: str
    log: str
    addresses: dict[str, str]


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster.

    Attributes:
        state: ``up``, ``degraded`` (some daemons are dead or not ready) or ``down``.
    """

    directory: str
    state: str
    hadoop_version: str | None = None
    started: float | None = None
    daemons: list[DaemonStatus] = field(default_factory=list)
    web: dict[str, str] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether every daemon does its work."""
        return self.state == "up"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def look(root: Path, state: State | None, daemons: Mapping[str, Daemon], plan: Plan | None) -> ClusterStatus:
    """Asks every daemon how it is.

    Args:
        root: the cluster's folder.
        state: what the folder remembers.
        daemons: its daemons.
        plan: how they are asked.
    """
    if state is None or plan is None or not state.up:
        return ClusterStatus(str(root), "down", state.hadoop_version if state else None)
    found = [_look_at(daemon, plan) for daemon in daemons.values()]
    if all(daemon.state == "dead" for daemon in found):
        word = "down"
    else:
        word = "up" if all(daemon.state == "ready" for daemon in found) else "degraded"
    settings = plan.settings
    scheme = "https" if is_tls(settings) else "http"
    return ClusterStatus(
        str(root),
        word,
        state.hadoop_version,
        state.started,
        found,
        {
            **{name: f"{scheme}://{plan.web_of(name)}" for name in plan.all_of("resourcemanager")},
            **{name: f"{scheme}://{plan.web_of(name)}" for name in plan.all_of("namenode")},
            "historyserver": f"{scheme}://{settings['mapreduce.jobhistory.webapp.address']}",
        },
    )


def _look_at(daemon: Daemon, plan: Plan) -> DaemonStatus:
    word, detail = "ready", ""
    if not daemon.alive:
        word = "dead"
    else:
        try:
            detail = plan.check(daemon.name)
        except NotReady as error:
            word, detail = "not ready", str(error)
    return DaemonStatus(
        daemon.name, title_of(daemon.name), daemon.pid, word, detail, str(daemon.log), dict(daemon.addresses)
    )
