"""``${...}`` in configuration values, as Hadoop's own ``Configuration`` expands it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError

MOST_SUBSTITUTIONS = 20
"""Hadoop's own limit; it also ends values that refer to each other in a circle."""

_REFERENCE = re.compile(r"\$\{([^\}\$ ]+)\}")


def expand(key: str, value: str, lookup: Callable[[str], str | None], environ: Mapping[str, str], os_user: str) -> str:
    """Expand the references in ``value``.

    ``${name}`` is a Java system property where Hadoop relies on one (``user.name``, ``user.home``, ``user.dir``,
    ``java.io.tmpdir``), else another property. ``${env.X}``, ``${env.X-default}`` and ``${env.X:-default}`` come from
    the environment. As in Hadoop, expansion stops at the first reference to nothing and leaves the rest as it is.

    Args:
        key: the property's name, for messages.
        value: its raw value.
        lookup: gives another property's raw value.
        environ: the environment.
        os_user: what ``${user.name}`` stands for.

    Raises:
        ConfigurationError: if it takes more than 20 steps, as it does where properties refer to each other.
    """
    expanded = value
    for _ in range(MOST_SUBSTITUTIONS):
        reference = _REFERENCE.search(expanded)
        if reference is None:
            return expanded
        found = _referred(reference[1], lookup, environ, os_user)
        if found is None:
            return expanded
        if reference[0] in found:  # refers to itself
            return value
        expanded = expanded[: reference.start()] + found + expanded[reference.end() :]
    if _REFERENCE.search(expanded) is None:
        return expanded
    raise ConfigurationError(
        f"{key} = {value!r} still has references after {MOST_SUBSTITUTIONS} substitutions; do its properties refer to "
        "each other in a circle?"
    )


def _referred(name: str, lookup: Callable[[str], str | None], environ: Mapping[str, str], os_user: str) -> str | None:
    found = None
    if name.startswith("env.") and len(name) > len("env."):
        found = _from_environment(name[len("env.") :], environ)
    elif name == "user.name":
        found = os_user
    elif name == "user.home":
        found = environ.get("HOME") or str(Path.home())
    elif name == "user.dir":
        found = str(Path.cwd())
    elif name == "java.io.tmpdir":
        found = tempfile.gettempdir()
    return lookup(name) if found is None else found


def _from_environment(reference: str, environ: Mapping[str, str]) -> str | None:
    name, dash, default = reference.partition("-")
    if not dash:
        return environ.get(name)
    if name.endswith(":"):
        return environ.get(name[:-1]) or default
    return environ.get(name, default)
