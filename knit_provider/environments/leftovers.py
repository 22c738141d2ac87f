"""What will not work in a container as it did where the environment was built, in words.

Archives are unpacked read-only, shared by containers, at paths that differ by node. So nothing is fixed at run time,
and what still names the build's path names a place that no node has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_SHOWN = 12
_BUILDING = re.compile(
    r"(^|/)(include|pkgconfig|cmake|aclocal|config-[^/]*)/|\.(pc|la|h|cmake|prl|pri)$|/_sysconfigdata|/Makefile$|-config$"
)


def prefix_warnings(kept: Mapping[str, str]) -> list[str]:
    """Warnings about files that keep the build's prefix.

    Args:
        kept: path in the environment to what it is: ``text`` or ``binary``.
    """
    groups: dict[str, list[str]] = {}
    for target, mode in sorted(kept.items()):
        groups.setdefault(_meaning(target, mode), []).append(target)
    return [f"{meaning}: {listed(targets)}" for meaning, targets in groups.items()]


def _meaning(target: str, mode: str) -> str:
    if _BUILDING.search(target):
        return "these keep the build's path, which matters only for compiling against the environment"
    if "libcrypto" in target or "openssl" in target:
        return (
            "these have the build's path compiled in, so OpenSSL finds its certificates only through "
            "SSL_CERT_FILE=$CONDA_PREFIX/ssl/cacert.pem"
        )
    if mode == "binary":
        return (
            "these have the build's path compiled in: data that they look up there is not found, unless an environment "
            "variable of theirs says where it is"
        )
    if target.startswith("bin/"):
        return (
            "these scripts name the build's path and may not start by themselves; run a Python one as "
            "$PYTHON_BIN $CONDA_PREFIX/bin/NAME"
        )
    return "these name the build's path, where no node has anything"


def link_warnings(outward: Iterable[tuple[str, str]], broken: Iterable[str]) -> list[str]:
    """Warnings about links that lead out of the environment, or nowhere."""
    found = []
    pythons = [(name, lead) for name, lead in outward if re.match(r"bin/(python|pypy)[\d.]*$", name)]
    others = [f"{name} -> {lead}" for name, lead in outward if (name, lead) not in pythons]
    if pythons:
        found.append(
            f"bin/python is a link to {pythons[0][1]}, as in every virtual environment: each node has to have that "
            "interpreter, of the same version, at that path"
        )
    if others:
        found.append(f"these links lead out of the environment, and each node has to have what they lead to: "
                     f"{listed(others)}")  # fmt: skip
    if nowhere := sorted(broken):
        found.append(f"these links lead nowhere and were left out: {listed(nowhere)}")
    return found


def listed(names: list[str]) -> str:
    """Names for a message, not too many of them."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
