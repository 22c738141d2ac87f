"""What a ResourceManager says about its own configuration at ``/conf``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from knit_provider.yarn.config.addresses import parse_address
from knit_provider.yarn.config.layers import CLUSTER, Layer
from knit_provider.yarn.config.resource_managers import HOSTNAME, RM
from knit_provider.yarn.errors import ConfigurationError

_REDACTED = "<redacted>"


def cluster_layer(answers: Mapping[str, Any], source: str, reached_at: list[str]) -> Layer:
    """Make a layer of the answers.

    Wildcard addresses of the ResourceManager itself are completed with the host that it was reached at, because they
    say where it listens and not where it is.

    Args:
        answers: ``{"properties": [{"key", "value", "resource"}, ...]}``, or a plain mapping.
        source: where they come from, for messages.
        reached_at: base URLs of the ResourceManagers.
    """
    values = dict(_set_values(answers))
    if len(reached_at) == 1:
        host = parse_address(reached_at[0], source).host
        for key, value in values.items():
            if key.startswith(RM) and (key == HOSTNAME or key.endswith("address")):
                values[key] = _completed(value, key, host)
    return Layer.of(CLUSTER, values, dict.fromkeys(values, source))


def _set_values(answers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    properties = answers.get("properties")
    if not isinstance(properties, list):
        yield from ((str(key), str(value)) for key, value in answers.items() if value != _REDACTED)
        return
    for item in (item for item in properties if isinstance(item, Mapping)):
        key, value, resource = item.get("key"), item.get("value"), str(item.get("resource") or "")
        if key and value is not None and value != _REDACTED and not resource.endswith("-default.xml"):
            yield str(key), str(value)


def _completed(value: str, key: str, host: str) -> str:
    try:
        address = parse_address(value, key)
    except ConfigurationError:
        return value
    if address.reachable:
        return value
    return host if address.port is None else f"{host}:{address.port}"
