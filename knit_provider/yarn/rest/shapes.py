"""Reading YARN's JSON, whose shapes differ between versions: one item may come as an object or a list, nothing as null,
``{}`` or an absent key, and numbers as strings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from knit_provider.yarn.errors import ConfigurationError

MEMORY, VCORES = "memory-mb", "vcores"
"""YARN's names for what every container has."""

PENDING_STATES = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED")
"""States of an application that has no container of its own yet."""

LIVE_STATES = (*PENDING_STATES, "RUNNING")
"""States of an application that has not ended."""

FINAL_STATES = ("FINISHED", "FAILED", "KILLED")

_APP_ID = re.compile(r"application_\d+_\d+", re.ASCII)
_CONTAINER_ID = re.compile(r"container_(?:e\d+_)?(\d+_\d+)_(\d{1,18})_\d+", re.ASCII)


def items(answer: Any, *path: str) -> list[dict[str, Any]]:
    """The objects at the end of a path; none of them where something on the way is missing.

    >>> items({"apps": {"app": {"id": 1}}}, "apps", "app"), items({"apps": None}, "apps", "app")
    ([{'id': 1}], [])
    """
    found = answer
    for key in path:
        if isinstance(found, list):
            found = [part.get(key) for part in found if isinstance(part, Mapping)]
            found = [item for part in found if part for item in (part if isinstance(part, list) else [part])]
        else:
            found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        found = [found]
    return [dict(item) for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def number(value: Any, default: int = 0) -> int:
    """A whole number that may come as a string."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return default


def resource_of(resource: Any) -> dict[str, int]:
    """Amounts by name (``"memory-mb"``, ``"vcores"``, ``"yarn.io/gpu"``...) of YARN's description of resources."""
    if not isinstance(resource, Mapping):
        return {}
    named = {
        str(info["name"]): number(info.get("value"))
        for info in items(resource, "resourceInformations", "resourceInformation")
        if info.get("name")
    }
    for key, name in (("memory", MEMORY), ("vCores", VCORES)):
        if key in resource:
            named[name] = number(resource[key])
    return named


def check_app_id(app_id: object) -> str:
    """Return ``app_id`` if it looks like one of YARN's.

    Raises:
        ConfigurationError: if it doesn't.
    """
    if not isinstance(app_id, str) or not _APP_ID.fullmatch(app_id.strip()):
        shown = repr(app_id)[:80]
        raise ConfigurationError(f"{shown} is not an application id; they look like application_1454900586318_0004")
    return app_id.strip()


def app_of_container(container_id: object) -> tuple[str, str]:
    """The application id and attempt id that a container id belongs to.

    Raises:
        ConfigurationError: if it is no container id.
    """
    match = _CONTAINER_ID.fullmatch(container_id.strip()) if isinstance(container_id, str) else None
    if match is None:
        shown = repr(container_id)[:80]
        raise ConfigurationError(
            f"{shown} is not a container id; they look like container_1454900586318_0004_01_000002"
        )
    return f"application_{match[1]}", f"appattempt_{match[1]}_{int(match[2]):06d}"
