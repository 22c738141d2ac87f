"""What ``env=`` may name: the packed Python environment that a service runs in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from knit_provider.yarn.spec import fields

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):/")


def scheme_of(source: str) -> str:
    """The URI scheme of a path in lower case, '' for a plain local path (``C:x`` and ``a:b.txt`` are plain too).

    Examples:
        >>> scheme_of("hdfs://nn/a"), scheme_of("/a:b/c"), scheme_of("data.csv")
        ('hdfs', '', '')
    """
    found = _SCHEME.match(source)
    return found.group(1).lower() if found else ""


def is_local(source: str) -> bool:
    """Whether a source lies on this machine: a plain path or a ``file:`` URI."""
    return scheme_of(source) in ("", "file")


def local_path(source: str) -> Path:
    """The local path that a plain path (with ``~``) or a ``file:`` URI names."""
    if scheme_of(source) == "file":
        return Path(unquote(urlsplit(source).path))
    return Path(source).expanduser()


def anchored(source: str, base: Path | None, name: str = "source") -> str:
    """``source`` as an absolute path if it is a relative local one and ``base`` is the folder it is relative to.

    Raises:
        SpecError: it is in the home of a user whom nobody knows; names the field ``name``.
    """
    if base is None or scheme_of(source):
        return source
    try:
        return os.path.normpath(base / Path(source).expanduser())
    except (RuntimeError, ValueError) as error:
        fields.fail(name, f"is {fields.shown(source)}, whose home is unknown here: {error}")


@dataclass(frozen=True)
class EnvReference:
    """A parsed ``env=``.

    Attributes:
        kind: ``archive`` (a packed environment, local or on any Hadoop filesystem), ``python`` (an interpreter that
            every node has) or ``build`` (an environment that has to be packed first).
        value: the path or URI; for ``python`` the interpreter's absolute path.
    """

    kind: Literal["archive", "python", "build"]
    value: str


def env_field(value: object, name: str = "env") -> str | None:
    """Check an ``env`` field.

    Args:
        value: None, a path, or a string as :class:`EnvReference` describes.
        name: what errors call it.

    Returns:
        The reference as a string, or None.

    Raises:
        SpecTypeError: for a mapping; the message names ``envvars``.
        SpecError: for text that is no reference.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        fields.fail_type(
            name,
            f"is a mapping of {len(value)} variables, but {name!r} names the packed Python environment (a path, an "
            "hdfs:// URI, python:///path/to/python); environment variables go into 'envvars'",
        )
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    reference = fields.uri(fields.line(value, name, longest=4096), name)
    parse_env(reference, name)
    return reference


def parse_env(reference: str, name: str = "env") -> EnvReference:
    """Parse a checked reference; see :class:`EnvReference`."""
    found = re.match(r"(python|conda|venv):/*", reference, re.IGNORECASE)
    if found is None:
        return EnvReference("archive", reference)
    kind, rest = found.group(1).lower(), reference.split(":", 1)[1]
    if not rest.startswith("//"):
        fields.fail(name, f"is {fields.shown(reference)}; write {kind}:// and the path, as in {_EXAMPLES[kind]}")
    rest = rest[2:]
    if kind != "python":
        if not rest:
            fields.fail(name, f"is {fields.shown(reference)}, which names no environment, as {_EXAMPLES[kind]} does")
        return EnvReference("build", reference)
    if not rest.startswith("/") or rest.endswith("/") or "/../" in rest:
        fields.fail(
            name,
            f"is {fields.shown(reference)}; after python:// comes the absolute path of an interpreter that every node "
            f"has, as in {_EXAMPLES['python']} (three slashes)",
        )
    return EnvReference("python", rest)


_EXAMPLES = {
    "python": "python:///usr/bin/python3",
    "conda": "conda:///opt/conda/envs/dev",
    "venv": "venv:///home/me/.venv",
}
