"""Where the ResourceManagers' REST interface is, and what names the cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knit_provider.yarn.config.addresses import Address, parse_address
from knit_provider.yarn.config.defaults import FALLBACK_HOST, FALLBACK_RM_PORT, FALLBACK_RM_PORT_HTTPS
from knit_provider.yarn.config.layers import DEFAULT
from knit_provider.yarn.errors import ConfigurationError

if TYPE_CHECKING:
    from knit_provider.yarn.config.hadoop_conf import HadoopConf

RM = "yarn.resourcemanager."
HA_ENABLED, RM_IDS, CLUSTER_ID = f"{RM}ha.enabled", f"{RM}ha.rm-ids", f"{RM}cluster-id"
HOSTNAME, RPC_ADDRESS = f"{RM}hostname", f"{RM}address"
_WEB = {"http": f"{RM}webapp.address", "https": f"{RM}webapp.https.address"}


def scheme_of(conf: HadoopConf) -> str:
    """``"https"`` where ``yarn.http.policy`` is HTTPS_ONLY, else ``"http"``."""
    if scheme := conf.short("scheme"):
        return str(scheme)
    return "https" if conf["yarn.http.policy"].upper() == "HTTPS_ONLY" else "http"


def rm_ids(conf: HadoopConf) -> list[str]:
    """The ids of a highly available ResourceManager; empty where there is one ResourceManager."""
    ids = conf.get_list(RM_IDS)
    if not ids or not (conf.get_bool(HA_ENABLED) or not _configured(conf)):
        return []
    # A host given closer at hand than the list (an argument against a file, say) is meant instead, unless it is in it.
    plain = min(_plain_keys(conf), key=conf.rank)
    if conf.rank(plain) >= min(conf.rank(RM_IDS), conf.rank(HA_ENABLED)):
        return ids
    host = parse_address(conf[plain], plain).host
    return ids if any(_web_address(conf, scheme_of(conf), 0, f".{rm_id}").host == host for rm_id in ids) else []


def web_addresses(conf: HadoopConf, scheme: str | None = None) -> list[str]:
    """Base URLs of the ResourceManagers' web interfaces, the one named by the user first."""
    scheme = scheme or scheme_of(conf)
    if scheme not in _WEB:
        raise ConfigurationError(f"scheme={scheme!r} is not one of 'http', 'https'")
    port = FALLBACK_RM_PORT_HTTPS if scheme == "https" else FALLBACK_RM_PORT
    given = conf.short("rm_addresses")
    if given:
        return [_base_url(text, scheme, port) for text in given]
    found = [_web_address(conf, scheme, port, f".{rm_id}") for rm_id in rm_ids(conf)]
    if host := conf.short("rm"):
        named = Address(host, _given_port(conf, scheme) or _port_of(host, found) or _plain_port(conf, scheme, port))
        found = [named, *(address for address in found if address.host != host)] if _among(host, found) else [named]
    if not found:
        found = [_web_address(conf, scheme, port, "")]
    return [f"{scheme}://{address}" for address in found]


def is_configured(conf: HadoopConf) -> bool:
    """Whether anything says where the ResourceManager is; if not, addresses are Knit's fallback, localhost."""
    return bool(conf.short("rm_addresses") or conf.short("rm") or _configured(conf) or rm_ids(conf))


def identity(conf: HadoopConf) -> str:
    """A name of the cluster for paths: the cluster id of a highly available one, else the RM's RPC address."""
    cluster = conf.get(CLUSTER_ID)
    name = cluster if cluster and rm_ids(conf) else conf[RPC_ADDRESS]
    return re.sub(r"[^A-Za-z0-9._-]", "_", str(name)).lstrip(".") or "default"


def _configured(conf: HadoopConf) -> bool:
    return any(conf.rank_kind(key) != DEFAULT and parse_address(conf[key], key).reachable for key in _plain_keys(conf))


def _plain_keys(conf: HadoopConf) -> tuple[str, ...]:
    return HOSTNAME, _WEB[scheme_of(conf)], RPC_ADDRESS


def _web_address(conf: HadoopConf, scheme: str, port: int, suffix: str) -> Address:
    key = f"{_WEB[scheme]}{suffix}"
    address = parse_address(conf[key], key, port) if key in conf else Address("", port)
    for other in (f"{HOSTNAME}{suffix}", f"{RPC_ADDRESS}{suffix}"):
        # A wildcard is what the daemon binds to; the host that it has elsewhere is what clients dial.
        if not address.reachable and other in conf:
            address = Address(parse_address(conf[other], other).host, address.port)
    if not suffix:
        given = _given_port(conf, scheme)
        return Address(address.host if address.reachable else FALLBACK_HOST, given or address.port)
    if not address.reachable:
        raise ConfigurationError(
            f"{RM_IDS} names {suffix[1:]!r}, but neither {key} nor {HOSTNAME}{suffix} says where it is; set one of them"
        )
    return address


def _given_port(conf: HadoopConf, scheme: str) -> int | None:
    ports = [conf.short("rm_port_https")] if scheme == "https" else []
    return next((port for port in (*ports, conf.short("rm_port")) if port), None)


def _plain_port(conf: HadoopConf, scheme: str, port: int) -> int:
    key = _WEB[scheme]
    return parse_address(conf[key], key, port).port or port


def _port_of(host: str, addresses: list[Address]) -> int | None:
    return next((address.port for address in addresses if address.host == host), None)


def _among(host: str, addresses: list[Address]) -> bool:
    return any(address.host == host for address in addresses)


def _base_url(text: str, scheme: str, port: int) -> str:
    address = parse_address(text, "rm_addresses", port)
    if not address.reachable:
        raise ConfigurationError(f"rm_addresses holds {text!r}; give the host that clients can reach")
    given = text.partition("://")[0] if "://" in text else scheme
    if given not in ("http", "https"):
        raise ConfigurationError(f"rm_addresses holds {text!r}; give host:port, or an http:// or https:// URL")
    return f"{given}://{address}"
