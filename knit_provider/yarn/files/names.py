"""Names of files in HDFS, and their URIs."""

from __future__ import annotations

import re
from urllib.parse import quote

from knit_provider.yarn.spec.files import ARCHIVE_SUFFIXES

_ODD = re.compile(r"[^A-Za-z0-9._-]")


def tamed(name: str) -> str:
    """A name that no node and no shell misreads."""
    return _ODD.sub("_", name)


def remote_name(name: str, kind: str | None) -> str:
    """A name that no node and no shell misreads, with the ending by which YARN knows an archive."""
    ending = next((end for end in ARCHIVE_SUFFIXES if name.lower().endswith(end)), "")
    if kind is None:
        # An archive that is shipped as a plain file was not looked through; it must not be taken for one that was.
        kind = ".file" if ending else ""
    else:
        name = name[: len(name) - len(ending)]
    return (tamed(name)[-100:].lstrip(".-") or "file") + kind


def uri_of(path: str) -> str:
    """A URI as Java reads it, of a path as Hadoop's shell writes it."""
    scheme, found, rest = path.partition("://")
    if not found:
        return quote(path, safe="/:@!$&'()*+,;=~", errors="surrogateescape")
    authority, slash, name = rest.partition("/")
    return f"{scheme}://{authority}{slash}{quote(name, safe='/:@!$&()*+,;=~', errors='surrogateescape')}"


def qualified(source: str, found: str) -> str:
    """A source with the filesystem that it was found in: a node's default one may be another."""
    path = re.sub(r"^[^:/]+:(//[^/]*)?", "", source)
    root = re.match(r"[^:/]+://[^/]*", found)
    return (root.group() if root else "") + path
