"""The fields and extras of an Airflow connection of type ``yarn``, as arguments of ``Knit``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from knit_provider.yarn.config.defaults import FALLBACK_RM_PORT
from knit_provider.yarn.errors import ConfigurationError

# Extras that go to Knit under their own name.
_PASSED_ON = (
    "bridge",
    "ca_bundle",
    "ccache",
    "gateway_path",
    "hadoop_conf_dir",
    "hdfs_home",
    "keytab",
    "keytab_base64",
    "principal",
    "proxy_user",
    "staging",
)
_SECRET = ("keytab_base64",)
EXTRAS = (*_PASSED_ON, "deployment", "hadoop_conf", "namenode", "queue", "rm_addresses", "scheme")


def knit_arguments(connection: Any, warn: Callable[[str], object]) -> tuple[dict[str, Any], str | None]:
    """Translate a connection.

    Args:
        connection: Airflow's connection: ``host`` (one ResourceManager or several, comma separated), ``port``
            (default 8088), ``login``, ``password`` and ``extra``.
        warn: called with a sentence for each extra that is not known and so has no effect.

    Returns:
        Keyword arguments of ``Knit``, and the queue or None.

    Raises:
        ConfigurationError: naming the connection, the field and its value.
    """
    where = f"connection {connection.conn_id}"
    extras = _extras(connection.extra, where)
    for name in sorted(set(extras) - set(EXTRAS)):
        # A worker's own machine decides which Java runs: who may edit connections must not.
        warn(f"{where}: the extra {name!r} is not known and has no effect; known are {', '.join(EXTRAS)}")
    _mask(extras)
    pars = _properties(extras.get("hadoop_conf"), where)
    arguments: dict[str, Any] = {name: _text(extras, name, where) for name in _PASSED_ON}
    addresses, scheme = _addresses(connection, extras, where)
    arguments["rm_addresses"] = addresses or None
    arguments["scheme"] = scheme
    arguments["nn"] = _text(extras, "namenode", where)
    arguments["user"] = connection.login or None
    arguments["password"] = connection.password or None
    arguments["pars"] = pars or None
    return {k: v for k, v in arguments.items() if v is not None}, _text(extras, "queue", where)


def deployment_of(connection: Any) -> str | None:
    """The name that tells this Airflow from others that use the same cluster: the connection's extra ``deployment``."""
    where = f"connection {connection.conn_id}"
    return _text(_extras(connection.extra, where), "deployment", where)


def _extras(extra: str | Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    if not extra:
        return {}
    if isinstance(extra, Mapping):
        found: object = dict(extra)
    else:
        try:
            found = json.loads(extra)
        except ValueError as e:
            raise ConfigurationError(f"{where}: extra is not JSON: {e}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigurationError(f"{where}: extra is a {type(found).__name__}; give a JSON object")
    # The connection form stores what was left empty as an empty string.
    return {k: v for k, v in found.items() if v not in ("", None)}


def _mask(extras: Mapping[str, Any]) -> None:
    """Airflow masks what has the name of a secret in every log, and goes by words that a keytab's does not hold."""
    secrets = [extras[name] for name in _SECRET if isinstance(extras.get(name), str)]
    if secrets:
        from airflow.sdk import log

        for secret in secrets:
            log.mask_secret(secret)


def _text(extras: Mapping[str, Any], name: str, where: str) -> str | None:
    value = extras.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        shown = name if name in _SECRET else f"{name}={value!r}"
        raise ConfigurationError(f"{where}: {shown} is a {type(value).__name__}; give text")
    return value.strip() or None


def _properties(value: object, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as e:
            raise ConfigurationError(f"{where}: hadoop_conf is not JSON: {e}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{where}: hadoop_conf is a {type(value).__name__}; give an object of Hadoop properties"
        )
    return dict(value)


def _addresses(connection: Any, extras: Mapping[str, Any], where: str) -> tuple[list[str], str | None]:
    """``host:port`` of each ResourceManager, and the scheme if the connection names one."""
    scheme = _text(extras, "scheme", where)
    given = extras.get("rm_addresses")
    if given is None:
        hosts = [h.strip() for h in (connection.host or "").split(",") if h.strip()]
    elif isinstance(given, str):
        hosts = [h.strip() for h in given.split(",") if h.strip()]
    elif isinstance(given, list):
        hosts = [str(h).strip() for h in given]
    else:
        raise ConfigurationError(f"{where}: rm_addresses={given!r} is not a list of host:port")
    port = connection.port or FALLBACK_RM_PORT
    found = []
    for host in hosts:
        prefix, separator, rest = host.rpartition("://")
        if separator and scheme is None:
            scheme = prefix
        name, colon, own = rest.rstrip("/").rpartition(":")
        if not colon:
            name, own = rest.rstrip("/"), str(port)
        if not name or not own.isdigit() or any(c in name for c in "/ @?#"):
            raise ConfigurationError(f"{where}: {host!r} is not host or host:port of a ResourceManager")
        found.append(f"{name}:{own}")
    if scheme not in (None, "http", "https"):
        raise ConfigurationError(f"{where}: scheme={scheme!r}; use http or https")
    return found, scheme
