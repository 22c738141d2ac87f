"""A path in front of the ResourceManager's own, as gateways and other proxies have one."""

from __future__ import annotations

import re

from knit_provider.yarn.errors import ConfigurationError

WS = "/ws/v1/"
SUFFIX = re.compile(r"(/ws)?/v1/?$")
"""The part of a path that leads from the ResourceManager's root to its REST interface."""


def checked_path(path: str) -> str:
    """A ``gateway_path`` as it is used.

    Raises:
        ConfigurationError: it is no path.
    """
    if not isinstance(path, str):
        raise ConfigurationError(f"gateway_path={path!r} is a {type(path).__name__}; give a path")
    path = path.strip().rstrip("/")
    if path and (not path.startswith("/") or any(c in path for c in "?# \t\n") or ".." in path.split("/")):
        raise ConfigurationError(
            f"gateway_path={path!r} is not a path; it looks like '/gateway/default/resourcemanager'"
        )
    return path


def rest_roots(gateway_path: str) -> list[str]:
    """Where the ResourceManager's REST interface may be, the likelier place first."""
    if not gateway_path:
        return [WS]
    if SUFFIX.search(gateway_path):
        return [f"{gateway_path}/"]
    return [f"{gateway_path}/ws/v1/", f"{gateway_path}/v1/"]
