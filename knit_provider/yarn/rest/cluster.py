"""What the ResourceManager tells of the cluster itself: its nodes, queues, limits and name."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.config.addresses import parse_address
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.rest.local_daemons import system_logs
from knit_provider.yarn.rest.queues import Queue, acl_allows, find_queue, largest_allocation, queues_of
from knit_provider.yarn.rest.session import Session
from knit_provider.yarn.rest.shapes import MEMORY, VCORES, items, number

_MAXIMUM = "yarn.scheduler.maximum-allocation"


class ClusterView:
    """The half of :class:`~knit_provider.yarn.rest.yarn_api.YARNAPI` that asks about no application.

    Args:
        session: what the calls go through.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._identity: str | None = None

    @property
    def user(self) -> str:
        """Who the calls are made as."""
        return self.session.user

    def cluster_info(self) -> dict[str, Any]:
        """State and versions of the active ResourceManager."""
        # A standby answers this one itself, so it takes more than asking whoever comes first.
        infos = [info for info in self._infos().values() if not isinstance(info, KnitError)]
        active = next((info for info in infos if info.get("haState", "ACTIVE") == "ACTIVE"), None)
        return active or next(iter(items(self.session.get_json("cluster/info"), "clusterInfo")), {})

    def ha_state(self) -> dict[str, str]:
        """The state of every ResourceManager by address: ``ACTIVE``, ``STANDBY``..., or why it cannot be asked."""
        return {
            address: str(info) if isinstance(info, KnitError) else str(info.get("haState", "ACTIVE"))
            for address, info in self._infos().items()
        }

    def cluster_metrics(self) -> dict[str, Any]:
        """The cluster's capacity, its use, and counts of nodes and applications."""
        return _one(self.session.get_json("cluster/metrics"), "clusterMetrics")

    def scheduler(self) -> dict[str, Any]:
        """The scheduler's and the queues' state, as the scheduler tells it."""
        return _one(self.session.get_json("cluster/scheduler"), "scheduler")

    def queues(self) -> list[Queue]:
        """All queues, parents before their children."""
        return queues_of(self.scheduler())

    def queue(self, name: str) -> Queue | None:
        """The queue that a submission to ``name`` reaches, or None."""
        return find_queue(self.queues(), name)

    def may_submit(self, queue: str, user: str | None = None) -> bool | None:
        """Whether a user (default the caller) may submit to a queue; None where the cluster doesn't tell."""
        user = user or self.user
        try:
            # As XML, because Hadoop 3.5 fails on its own answer as JSON ("MessageBodyWriter not found").
            answer = self.session.request(
                "GET",
                f"cluster/queues/{quote(queue)}/access",
                params={"queue-acl-type": "SUBMIT_APPLICATIONS", "user": user},
                accept="application/xml",
            )
        except ClusterUnavailable:
            raise
        except PermissionDenied:
            # Only who administers a queue may ask that. The lists themselves are shown to everybody.
            known = self.queues()
            named = find_queue(known, queue)
            return None if named is None else acl_allows(known, named, user)
        except KnitError:
            return None
        allowed = re.search(r"<allowed>(true|false)</allowed>", answer.text)
        return None if allowed is None else allowed[1] == "true"

    def max_allocation(self, queue: str | None = None) -> dict[str, int]:
        """The largest container that a queue (default any) allows, by resource: ``memory-mb``, ``vcores``, others."""
        if found := largest_allocation(self.scheduler(), queue):
            return found
        conf = self.cluster_conf(defaults=True)
        said = {MEMORY: conf.get(f"{_MAXIMUM}-mb", ""), VCORES: conf.get(f"{_MAXIMUM}-vcores", "")}
        return {name: number(value) for name, value in said.items() if value.isdecimal()}

    def app_stats(self) -> dict[str, Any]:
        """Numbers of applications by state."""
        return _one(self.session.get_json("cluster/appstatistics"), "appStatInfo")

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes: health, address, capacity and what is free. Unhealthy ones say why in ``healthReport``."""
        return items(self.session.get_json("cluster/nodes"), "nodes", "node")

    def system_logs(self) -> dict[str, Any]:
        """Find YARN daemons on this machine and the files they log to; for trouble on a cluster of one machine.

        Returns:
            ``on_rm``, ``single_node``, ``rm_logfile``, ``nm_logfile``, ``rm_proc``, ``nm_proc``, ``rm_logfiles`` and
            ``nm_logfiles``, as far as found.
        """
        rm = urlsplit(self.session.active_address)
        return system_logs((rm.hostname or "", rm.port or 0), [_host_and_port(node) for node in self.nodes()])

    def cluster_conf(self, defaults: bool = False) -> dict[str, str]:
        """The configuration that the ResourceManager runs with.

        Args:
            defaults: with Hadoop's own defaults (default False: only what somebody set).
        """
        found = {}
        for item in items(self.session.get_json("/conf", {"format": "json"}), "properties"):
            is_default = str(item.get("resource") or "").endswith("-default.xml")
            if item.get("key") and item.get("value") is not None and (defaults or not is_default):
                found[str(item["key"])] = str(item["value"])
        return found

    def rm_identity(self) -> str:
        """A name of the cluster that all its clients agree on, fit for a path.

        It is the id of a highly available cluster, else the ResourceManager's RPC address, as the ResourceManager
        itself has them; as the configuration has them only where it does not show its own.
        """
        if self._identity is None:
            self._identity = self._asked_identity() or self.session.conf.rm_identity()
        return self._identity

    def _asked_identity(self) -> str | None:
        try:
            said = self.cluster_conf(defaults=True)
        except KnitError:
            # A name that depended on a passing failure would file one application under two names. So it must be the
            # ResourceManager that withholds its configuration, not the network.
            self.session.get_json("cluster/info")
            try:
                said = self.cluster_conf(defaults=True)
            except KnitError:
                return None
        return HadoopConf.load(autodetect=False, pars=said, environ={}).rm_identity()

    def _infos(self) -> dict[str, dict[str, Any] | KnitError]:
        found: dict[str, dict[str, Any] | KnitError] = {}
        for address in self.session.addresses:
            try:
                found[address] = _one(self.session.ask(address, "cluster/info").json(), "clusterInfo")
            except KnitError as e:
                found[address] = e
        return found


def _host_and_port(node: dict[str, Any]) -> tuple[str, int]:
    try:
        address = parse_address(str(node.get("nodeHTTPAddress") or ""), "nodeHTTPAddress")
    except ConfigurationError:
        return "", 0
    return address.host, address.port or 0


def _one(answer: dict[str, Any], key: str) -> dict[str, Any]:
    return next(iter(items(answer, key)), {})
