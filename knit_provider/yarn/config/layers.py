"""The layers a configuration is made of, and Knit's short names for what a user sets most."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knit_provider.yarn.config.defaults import RENAMED
from knit_provider.yarn.config.site_xml import read_site_xml
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.units import check_int

ARGUMENT, PARS, CONNECTION, FILE, CLUSTER, DEFAULT = "argument", "pars", "connection", "file", "cluster", "default"

PORTS = ("nn_port", "rm_port", "rm_port_https")
SHORT_NAMES = (
    "ca_bundle",
    "gateway_path",
    "lang",
    "nn",
    *PORTS,
    "replication_factor",
    "rm",
    "rm_addresses",
    "scheme",
    "user",
)
"""What a constructor, ``pars`` or a connection may give beside Hadoop properties. ``password`` is kept apart: it is not
part of the mapping, so no print of it shows one."""


@dataclass(frozen=True)
class Layer:
    """One source of settings.

    Attributes:
        kind: ``"argument"``, ``"pars"``, ``"connection"``, ``"file"``, ``"cluster"`` or ``"default"``.
        values: Hadoop properties, unexpanded.
        short: Knit's short names.
        origins: where each property came from, where that says more than ``kind``.
    """

    kind: str
    values: Mapping[str, str]
    short: Mapping[str, Any]
    origins: Mapping[str, str]

    @classmethod
    def of(
        cls, kind: str, values: Mapping[str, str], origins: Mapping[str, str] | None = None, short: Any = None
    ) -> Layer:
        return cls(kind, values, short or {}, origins or {})

    def origin(self, key: str) -> str:
        return self.origins.get(key, self.kind)


def given_layer(kind: str, given: Mapping[str, Any] | None) -> Layer:
    """Make a layer of what a user passed: Hadoop properties (their names hold a dot) and short names.

    Raises:
        ConfigurationError: for a value of the wrong type, or a name that is neither.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"{kind} is a {type(given).__name__}; give a mapping of Hadoop property to value")
    values: dict[str, str] = {}
    short: dict[str, Any] = {}
    for key, value in (given or {}).items():
        if value is None or key == "password":
            continue
        if not isinstance(key, str):
            raise ConfigurationError(f"{kind} has the key {key!r}; names of Hadoop properties are strings")
        if key in SHORT_NAMES:
            short[key] = _checked(key, value)
        elif "." in key:
            values[RENAMED.get(key, key)] = _text(kind, key, value)
        else:
            near = difflib.get_close_matches(key, SHORT_NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(SHORT_NAMES)} and Hadoop properties"
            raise ConfigurationError(f"{kind} has the unknown name {key!r}; {hint}")
    return Layer.of(kind, values, short=short)


def file_layer(files: Sequence[Path], directories: Sequence[Path]) -> Layer:
    """Read ``*-site.xml`` files in order; a later one overrides, except what was ``final``."""
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    final: set[str] = set()
    for path in files:
        for found in read_site_xml(path, directories):
            name = RENAMED.get(found.name, found.name)
            if found.value is not None and name not in final:
                values[name] = found.value
                origins[name] = found.file
            if found.final:
                final.add(name)
    return Layer.of(FILE, values, origins)


def _checked(key: str, value: Any) -> Any:
    if key in PORTS or key == "replication_factor":
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
        return check_int(number, key, minimum=1, maximum=512 if key == "replication_factor" else 65535)
    if key == "rm_addresses":
        addresses = [value] if isinstance(value, str) else value
        if not isinstance(addresses, Sequence) or not addresses or not all(isinstance(a, str) for a in addresses):
            raise ConfigurationError(f"rm_addresses={value!r} is not a list of host:port")
        return tuple(part.strip() for address in addresses for part in address.split(",") if part.strip())
    if not isinstance(value, str):
        raise ConfigurationError(f"{key}={value!r} is a {type(value).__name__}; give a string")
    text = value.strip()
    if key == "scheme" and text not in ("http", "https"):
        raise ConfigurationError(f"scheme={value!r} is not one of 'http', 'https'")
    if key == "rm" and (not text or any(c in text for c in "/@?# \t\n")):
        raise ConfigurationError(f"rm={value!r} is not a host name; give the host alone, its port as rm_port")
    if key == "nn" and (not text or any(c in text for c in "@?# \t\n") or ("/" in text and "://" not in text)):
        raise ConfigurationError(f"nn={value!r} is not a host name; give the host alone, its port as nn_port")
    return text


def _text(kind: str, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int)) for item in value):
        return ",".join(str(item) for item in value)
    raise ConfigurationError(f"{kind}[{key!r}] is a {type(value).__name__}; values of Hadoop properties are strings")
