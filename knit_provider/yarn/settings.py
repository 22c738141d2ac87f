"""The keyword arguments of ``Knit`` beside its first six, checked by name and turned into Hadoop properties."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.units import check_int

RM_PORT = 8088
NN_PORT = 8020


@dataclass(frozen=True)
class KnitSettings:
    """See :class:`~knit_provider.yarn.knit.Knit` for what each means."""

    nn: str | None = None
    nn_port: int | None = None
    rm: str | None = None
    rm_port: int | None = None
    user: str | None = None
    lang: str = "C.UTF-8"
    replication_factor: int = 3
    password: str | None = field(default=None, repr=False)
    gateway_path: str | None = None
    bridge: str = "auto"
    hadoop_conf_dir: str | None = None
    rm_addresses: Sequence[str] | None = None
    hadoop_home: str | None = None
    java_home: str | None = None
    staging: str | None = None
    am_timeout: float = 60.0
    properties: Mapping[str, str] = field(default_factory=dict)


def settings_of(pars: Mapping[str, Any] | None, kwargs: Mapping[str, Any]) -> KnitSettings:
    """Check the arguments and add those that name a host to the Hadoop properties.

    Raises:
        ConfigurationError: for an unknown name (with the nearest known one), a bad port or a bad number.
    """
    known = {f.name for f in fields(KnitSettings)} - {"properties"}
    for name in kwargs:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise ConfigurationError(f"Knit has no parameter {name!r}; {hint}")
    given = {k: v for k, v in kwargs.items() if v is not None}
    if pars is not None and not isinstance(pars, Mapping):
        raise ConfigurationError(f"pars is a {type(pars).__name__}; give a mapping of Hadoop property to value")
    for name in ("nn_port", "rm_port"):
        if name in given:
            given[name] = check_int(given[name], name, minimum=1, maximum=65535)
    given["replication_factor"] = check_int(
        given.get("replication_factor", 3), "replication_factor", minimum=1, maximum=512
    )
    properties = {str(k): _as_text(k, v) for k, v in (pars or {}).items()}
    properties.update(_hosts(given))
    return KnitSettings(**given, properties=properties)


def _hosts(given: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if "nn_port" in given and "nn" not in given:
        raise ConfigurationError(f"nn_port={given['nn_port']} was given without nn, the NameNode's host")
    if "rm_port" in given and "rm" not in given:
        raise ConfigurationError(f"rm_port={given['rm_port']} was given without rm, the ResourceManager's host")
    if "nn" in given:
        found["fs.defaultFS"] = f"hdfs://{_host('nn', given['nn'])}:{given.get('nn_port', NN_PORT)}"
    if "rm" in given:
        host = _host("rm", given["rm"])
        found["yarn.resourcemanager.hostname"] = host
        for scheme in ("", ".https"):
            found[f"yarn.resourcemanager.webapp{scheme}.address"] = f"{host}:{given.get('rm_port', RM_PORT)}"
    if "rm_addresses" in given:
        found.update(_ha(given["rm_addresses"]))
    return found


def _ha(addresses: object) -> dict[str, str]:
    if isinstance(addresses, str) or not isinstance(addresses, Sequence) or not addresses:
        raise ConfigurationError(f"rm_addresses={addresses!r} is not a list of host:port")
    found = {}
    for address in addresses:
        host, colon, port = str(address).rpartition(":")
        if not colon or not port.isdigit() or not host:
            raise ConfigurationError(
                f"rm_addresses holds {address!r}; each is host:port of a ResourceManager's REST interface"
            )
    if len(addresses) == 1:
        host = str(addresses[0]).rpartition(":")[0]
        return {
            "yarn.resourcemanager.hostname": host,
            "yarn.resourcemanager.webapp.address": str(addresses[0]),
            "yarn.resourcemanager.webapp.https.address": str(addresses[0]),
        }
    ids = [f"rm{i + 1}" for i in range(len(addresses))]
    found = {"yarn.resourcemanager.ha.enabled": "true", "yarn.resourcemanager.ha.rm-ids": ",".join(ids)}
    for rm_id, address in zip(ids, addresses, strict=True):
        found[f"yarn.resourcemanager.hostname.{rm_id}"] = str(address).rpartition(":")[0]
        for scheme in ("", ".https"):
            found[f"yarn.resourcemanager.webapp{scheme}.address.{rm_id}"] = str(address)
    return found


def _host(name: str, value: object) -> str:
    text = str(value).strip()
    if not text or any(c in text for c in "/ \t\n@?#"):
        raise ConfigurationError(f"{name}={value!r} is not a host name; give the host alone, the port in {name}_port")
    return text


def _as_text(key: object, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ConfigurationError(f"pars[{key!r}] is a {type(value).__name__}; Hadoop properties are strings and numbers")
