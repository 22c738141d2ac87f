"""What a build's result depends on, told without solving, linking or reading the environment's files."""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from knit_provider.environments.channels import without_secrets
from knit_provider.environments.local_sources import LocalSources
from knit_provider.environments.sources import (
    CondaLock,
    CondaPackages,
    CondaPrefix,
    ReadyArchive,
    Source,
    UvRequirements,
    VenvPrefix,
)
from knit_provider.yarn.errors import EnvironmentBuildError

# The top-level folders in a distribution's list of files; a run of lines with the same one counts once, which is quick.
_OWNED = re.compile(rb"^([^/,\n]+)/[^\n]*(?:\n\1/[^\n]*)*", re.MULTILINE)


def request_of(source: Source) -> dict[str, Any]:
    """A document that is another one when the build might result in something else.

    Raises:
        EnvironmentBuildError: a file that it depends on cannot be read.
    """
    try:
        # Machines of several kinds may share a home, and with it the cache.
        return {"kind": type(source).__name__, "machine": sysconfig.get_platform(), **_parts(source)}
    except OSError as error:
        raise EnvironmentBuildError(f"{error.filename} cannot be read: {error.strerror}") from error


def _parts(source: Source) -> dict[str, Any]:
    if isinstance(source, CondaPackages):
        return {
            "packages": sorted(source.packages),
            "channels": [without_secrets(url) for url in source.channels],
            "pinned": sorted(source.pinned),
            "pip": [*source.pip],
            "platform": source.platform,
            **_content(LocalSources.of_lines(source.pip, source.folder)),
        }
    if isinstance(source, CondaLock):
        return {"urls": sorted(without_secrets(url) for url in source.urls)}
    if isinstance(source, CondaPrefix):
        return {"prefix": source.prefix, "files": _files(_conda_record(Path(source.prefix)))}
    if isinstance(source, VenvPrefix):
        return {"prefix": source.prefix, "files": _files(_python_record(Path(source.prefix)))}
    if isinstance(source, UvRequirements):
        python = source.python or f"{sys.base_prefix} {sys.version}"
        return {"python": python, "file": source.file, **_content(LocalSources.of_file(Path(source.file)))}
    assert isinstance(source, ReadyArchive)
    return {"files": _files([Path(source.path)])}


def _files(paths: Iterable[str | Path], *, follow: bool = False) -> list[tuple[str, int, int]]:
    """Path, size and time of files, in a fixed order."""
    found = []
    for path in paths:
        try:
            status = os.stat(path, follow_symlinks=follow)
        except FileNotFoundError:
            status = os.lstat(path)  # a link to nothing
        # A folder's time changes when Python caches bytecode in it, which changes nothing.
        folder = stat.S_ISDIR(status.st_mode)
        found.append((str(path), 0, 0) if folder else (str(path), status.st_size, status.st_mtime_ns))
    return sorted(found)


def _conda_record(prefix: Path) -> Iterator[str]:
    yield from (path for path in _entries(prefix / "conda-meta") if path.endswith(".json"))
    yield from _python_record(prefix)


def _python_record(prefix: Path) -> Iterator[str]:
    """Programs, what lies directly in site-packages, each distribution's list of files, and what is in none of these.

    An environment of 300 distributions is looked at before every start, so nothing here looks twice, and the tens of
    thousands of files that distributions have are not looked at one by one.
    """
    yield from _entries(prefix / "bin")
    if (prefix / "pyvenv.cfg").exists():
        yield str(prefix / "pyvenv.cfg")
    for packages in prefix.glob("lib/python*/site-packages"):
        owned = {"__pycache__"}
        folders = []
        for entry in _scanned(packages):
            if entry.name == "__pycache__":
                continue
            yield entry.path
            if entry.name.endswith((".dist-info", ".egg-info")):
                record = f"{entry.path}/{'RECORD' if entry.name.endswith('.dist-info') else 'PKG-INFO'}"
                if os.path.exists(record):
                    yield record
                owned |= _owned(entry)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry)
        for folder in folders:
            if folder.name not in owned:
                yield from _below(folder.path)


def _owned(entry: os.DirEntry[str]) -> set[str]:
    """The folders in site-packages that a distribution has files in."""
    is_new = entry.name.endswith(".dist-info")
    try:
        with open(f"{entry.path}/{'RECORD' if is_new else 'top_level.txt'}", "rb") as file:
            found = _OWNED.findall(file.read()) if is_new else file.read().split()
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {os.fsdecode(name) for name in found}


def _below(folder: str) -> Iterator[str]:
    for entry in _scanned(Path(folder)):
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "__pycache__":
                yield from _below(entry.path)
        elif not entry.name.endswith(".pyc"):
            yield entry.path


def _entries(folder: Path) -> list[str]:
    return [entry.path for entry in _scanned(folder)]


def _scanned(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []


def _content(local: LocalSources) -> dict[str, Any]:
    return {"content": local.texts, "local": _files(local.files, follow=True)}
