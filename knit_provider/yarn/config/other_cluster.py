"""What it means that a user names another ResourceManager or NameNode than the files do.

``rm=`` and ``nn=`` say where one daemon is. Files say more about theirs: RPC ports, a list of ids, web addresses. If
both speak of the same host, all of that holds. If they don't, none of the file's addresses may be mixed with the user's
host: half of a request would go to the wrong cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from knit_provider.yarn.config.addresses import parse_address
from knit_provider.yarn.config.namenodes import DEFAULT_FS
from knit_provider.yarn.config.resource_managers import HA_ENABLED, HOSTNAME, RM, RM_IDS
from knit_provider.yarn.errors import ConfigurationError

_RM_PLACE = re.compile(r"yarn\.resourcemanager\.(hostname|ha|cluster-id|([a-z.-]+\.)?address)(\..*)?")
_NN_PLACE = re.compile(r"fs\.defaultFS|dfs\.namenode\.(http|https|rpc|servicerpc|lifeline\.rpc)-address(\..*)?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def masked_keys(short: Mapping[str, Any], keys: list[str], value: Callable[[str], str]) -> set[str]:
    """Names of the file's properties that speak of another cluster than the user does.

    Args:
        short: Knit's short names as the user gave them.
        keys: the properties that the files set.
        value: gives the file's expanded value of one.
    """
    masked: set[str] = set()
    # Behind a gateway, rm is the gateway's host; the file still tells the truth about the cluster.
    if not short.get("gateway_path"):
        places = [key for key in keys if _RM_PLACE.fullmatch(key)]
        if _differ(_rm_hosts(short), places, value):
            masked.update(places)
    if nn := short.get("nn"):
        places = [key for key in keys if _NN_PLACE.fullmatch(key)]
        services = value("dfs.nameservices").split(",") if "dfs.nameservices" in keys else []
        known = {service.strip() for service in services}
        name = parse_address(nn, "nn").host
        if name not in known and _differ({name}, places, value):
            masked.update(places)
    return masked


def implied_properties(short: Mapping[str, Any], same_cluster: bool) -> dict[str, str]:
    """The Hadoop properties that ``rm`` and ``rm_addresses`` stand for, for what reads properties only (the JVM)."""
    if short.get("gateway_path") or same_cluster:
        return {}
    hosts = list(dict.fromkeys(_rm_hosts_in_order(short)))
    if not hosts:
        return {}
    if len(hosts) == 1:
        return {HOSTNAME: hosts[0]}
    ids = {f"rm{i}": host for i, host in enumerate(hosts, start=1)}
    implied = {HA_ENABLED: "true", RM_IDS: ",".join(ids)}
    implied.update({f"{RM}hostname.{rm_id}": host for rm_id, host in ids.items()})
    return implied


def _rm_hosts(short: Mapping[str, Any]) -> set[str]:
    return set(_rm_hosts_in_order(short))


def _rm_hosts_in_order(short: Mapping[str, Any]) -> list[str]:
    given = short.get("rm_addresses") or ([short["rm"]] if short.get("rm") else [])
    return [parse_address(address, "rm_addresses").host for address in given]


def _differ(hosts: set[str], places: list[str], value: Callable[[str], str]) -> bool:
    if not hosts:
        return False
    known = set()
    for key in places:
        if "address" in key or "hostname" in key or key == DEFAULT_FS:
            try:
                known.add(_alias(parse_address(value(key), key).host))
            except ConfigurationError:
                continue  # a broken entry of another cluster is no reason to refuse this one
    return not known & {_alias(host) for host in hosts}


def _alias(host: str) -> str:
    return "localhost" if host in _LOOPBACK else host.lower()
