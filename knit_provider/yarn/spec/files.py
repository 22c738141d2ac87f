"""The files that a container finds in its working folder, and the names they have there."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from knit_provider.yarn.spec import fields
from knit_provider.yarn.spec.environment import anchored, is_local, scheme_of

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

# Names that YARN or knit-provider puts into the working folder itself.
RESERVED_PREFIX = "knit-"
RESERVED = frozenset(
    {
        "container_tokens",
        "default_container_executor.sh",
        "default_container_executor_session.sh",
        "knit.jar",
        "launch_container.sh",
        "run-master.sh",
        "tmp",
        "sysfs",
    }
)

# The NodeManager makes links by a shell line with the name in double quotes, and Hadoop's Path takes ':' for a scheme.
_UNSAFE = frozenset('"$`\\:')
# The folder of a link it makes by a line without any quotes.
_FOLDER = re.compile(r"[\w.@%+=,-]+")


@dataclass(frozen=True)
class File:
    """A file or archive for a container.

    Attributes:
        source: local path, ``file:`` URI, or the URI of a file on any Hadoop filesystem, which is used where it lies.
        type: ``FILE``, ``ARCHIVE`` (unpacked by YARN into a folder) or ``infer``: an archive if the name ends in .zip,
            .tar, .tar.gz or .tgz, or if it is a local folder. Default ``infer``.
        visibility: ``PRIVATE`` (the user's applications on a node share it, the default), ``APPLICATION`` or
            ``PUBLIC`` (everybody on the node; the file has to be readable by all in its filesystem).
        size: bytes of a remote file; 0, the default, asks its filesystem.
        timestamp: modification time of a remote file in ms since the epoch; 0, the default, asks its filesystem.
    """

    source: str
    type: str = "infer"
    visibility: str = "PRIVATE"
    size: int = 0
    timestamp: int = 0

    if TYPE_CHECKING:

        def __init__(
            self,
            source: str | os.PathLike[str],
            type: str = "infer",  # noqa: A002 - the field's public name
            visibility: str = "PRIVATE",
            size: int = 0,
            timestamp: int = 0,
        ) -> None: ...

    def __post_init__(self) -> None:
        keep = object.__setattr__
        source = os.fspath(self.source) if isinstance(self.source, os.PathLike) else self.source
        keep(self, "source", source if _odd_local(source) else fields.line(source, "source", longest=4096))
        if scheme_of(self.source):
            fields.uri(self.source, "source")
        keep(self, "type", fields.choice(self.type, "type", ("infer", "FILE", "ARCHIVE")))
        keep(self, "visibility", fields.choice(self.visibility, "visibility", ("PRIVATE", "APPLICATION", "PUBLIC")))
        keep(self, "size", fields.whole(self.size, "size", 0, 2**63 - 1))
        keep(self, "timestamp", fields.whole(self.timestamp, "timestamp", 0, 2**63 - 1))
        if scheme_of(self.source) == "file" and urlsplit(self.source).netloc not in ("", "localhost"):
            fields.fail("source", f"{self.source} names another host; file: URIs are of this machine: file:///path")
        if is_local(self.source) and (self.size or self.timestamp):
            fields.fail("source", f"{self.source} is local, where size and timestamp are read from the file itself")

    @property
    def is_archive(self) -> bool:
        """Whether YARN unpacks it, as far as the name tells (a local folder shows only when it is looked at)."""
        if self.type != "infer":
            return self.type == "ARCHIVE"
        return has_archive_suffix(self.source)

    @property
    def basename(self) -> str:
        """The last part of the source's path, which is the name in the container unless another is given."""
        path = self.source
        if scheme_of(path):
            path = unquote(urlsplit(path).path) if scheme_of(path) == "file" else urlsplit(path).path
        return posixpath.basename(path.rstrip("/"))

    @classmethod
    def from_dict(cls, value: object, base: Path | None = None) -> File:
        """Read a path or a mapping of the fields; relative local paths are relative to ``base`` where it is given."""
        if isinstance(value, File):
            return value
        if isinstance(value, (str, os.PathLike)):
            given: dict[str, Any] = {"source": value}
        else:
            given = fields.mapping(value, "")
            fields.reject_unknown(given, ("source", "type", "visibility", "size", "timestamp"))
            if not isinstance(given.get("source"), (str, os.PathLike)):
                fields.fail("source", "is required: a local path or a URI")
        return cls(**given | {"source": anchored(os.fspath(given["source"]), base)})

    def to_dict(self) -> str | dict[str, Any]:
        """The source alone if everything else is at its default, else a mapping."""
        every: dict[str, Any] = {"source": self.source}
        if self.type != "infer":
            every["type"] = self.type
        if self.visibility != "PRIVATE":
            every["visibility"] = self.visibility
        every |= {key: value for key, value in (("size", self.size), ("timestamp", self.timestamp)) if value}
        return self.source if len(every) == 1 else every


FileLike: TypeAlias = "str | os.PathLike[str] | File | Mapping[str, Any]"
FilesLike: TypeAlias = "Sequence[FileLike] | Mapping[str, FileLike] | None"


def has_archive_suffix(name: str) -> bool:
    """Whether a file's name says that it is an archive that YARN can unpack."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def as_files(value: object, name: str, base: Path | None = None, *, archives: bool = False) -> dict[str, File]:
    """Read ``files`` or ``archives``: a list of sources, or a mapping of name in the container to source.

    Args:
        value: the field's value.
        name: the field's name, for errors.
        base: folder that relative local paths are relative to; None leaves them as they are.
        archives: make every one an archive.

    Returns:
        Name in the container -> file.

    Raises:
        SpecError: two of a list with one basename, a name that no container can have, or a bad file.
    """
    if value is None:
        return {}
    if isinstance(value, (str, os.PathLike, File)):
        fields.fail_type(name, f"must be a list or a mapping of name to source, not a single file; write [{value!r}]")
    result: dict[str, File] = {}
    with fields.within(name):
        for key, source in _pairs(value):
            with fields.within(key):
                file = File.from_dict(source, base)
                if archives and not file.is_archive:
                    file = File(file.source, "ARCHIVE", file.visibility, file.size, file.timestamp)
            link = link_name(key if isinstance(value, Mapping) else file.basename, key)
            known = result.get(link)
            if known is not None and known != file:
                fields.fail(
                    key,
                    f"{known.source} and {file.source} would both be {link!r} in the container; give a mapping with "
                    "distinct names: {name in the container: source}",
                )
            result[link] = file
        check_nesting(result)
    return result


def _pairs(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, source in value.items():
            if not isinstance(key, str):
                fields.fail_type(repr(key), "the name in the container must be a string; put it in quotes")
            yield key, source
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for position, source in enumerate(value):
            yield str(position), source
    else:
        fields.fail_type("", f"must be a list or a mapping of name to source, not {fields.kind_of(value)}")


def link_name(given: str, field: str) -> str:
    """Check a file's name in the container: relative, inside the working folder, and none of ours or YARN's."""
    name = given
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    problem = ""
    parts = name.split("/")
    if not name:
        problem = "is empty"
    elif name.startswith("/"):
        problem = "is absolute; it must be relative to the container's working folder"
    elif any(part in ("", ".", "..") for part in parts):
        problem = "must be a plain path inside the container's working folder, without '..', '.' and empty parts"
    elif not name.isprintable() or _UNSAFE & set(name):
        problem = 'holds a character that YARN cannot make a link with (unprintable, or one of " $ ` \\ :)'
    elif not all(_FOLDER.fullmatch(part) for part in parts[:-1]):
        problem = "lies in a folder whose name YARN cannot make: letters, digits and _ . @ % + = , - are possible"
    elif len(name.encode("utf-8", "surrogateescape")) > 255:
        problem = "is longer than 255 bytes"
    elif parts[0] in RESERVED or parts[0].startswith(RESERVED_PREFIX):
        problem = "is reserved for YARN's and knit-provider's own files"
    if problem:
        advice = "name it otherwise in a mapping: {name in the container: source}"
        fields.fail(field, f"the name {given!r} in the container {problem}; {advice}")
    return name


def check_nesting(links: Iterable[str]) -> None:
    """Refuse a name that lies inside another one: a link cannot be a folder as well."""
    known = set(links)
    for link in known:
        for parent in _parents(link):
            if parent in known:
                fields.fail(link, f"lies inside {parent!r}, which is a file or an archive itself; move one of them")


def _parents(link: str) -> Iterable[str]:
    while link := posixpath.dirname(link):
        yield link


def _odd_local(source: object) -> bool:
    """Whether a local path holds characters that are no text on one line; the filesystem may well have such a file."""
    return isinstance(source, str) and is_local(source) and bool(source.strip()) and "\0" not in source
