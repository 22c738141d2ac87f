"""What a build's result depends on, told without solving, linking or reading the environment's files."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from knit_provider.environments.channels import without_secrets
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

_NESTED = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)", re.MULTILINE)
_SKIPPED = {"__pycache__", "build", "dist", "node_modules"}


def request_of(source: Source) -> dict[str, Any]:
    """A document that is another one when the build might result in something else.

    Raises:
        EnvironmentBuildError: a file that it depends on cannot be read.
    """
    try:
        return {"kind": type(source).__name__, **_parts(source)}
    except OSError as error:
        raise EnvironmentBuildError(f"{error.filename} cannot be read: {error.strerror}") from error


def _parts(source: Source) -> dict[str, Any]:
    if isinstance(source, CondaPackages):
        return {
            "packages": sorted(source.packages),
            "channels": [without_secrets(url) for url in source.channels],
            "pinned": sorted(source.pinned),
            "pip": [*source.pip, *_files(_requirement_files(source.pip))],
            "platform": source.platform or sys.platform,
        }
    if isinstance(source, CondaLock):
        return {"urls": sorted(without_secrets(url) for url in source.urls)}
    if isinstance(source, CondaPrefix):
        return {"prefix": source.prefix, "files": _files(_conda_record(Path(source.prefix)))}
    if isinstance(source, VenvPrefix):
        return {"prefix": source.prefix, "files": _files(_python_record(Path(source.prefix)))}
    if isinstance(source, UvRequirements):
        python = source.python or f"{sys.base_prefix} {sys.version}"
        return {"python": python, "file": source.file, **_requirements(Path(source.file))}
    assert isinstance(source, ReadyArchive)
    return {"files": _files([Path(source.path)])}


def _files(paths: Iterable[str | Path]) -> list[tuple[str, int, int]]:
    """Path, size and time of files, in a fixed order."""
    found = []
    for path in paths:
        status = os.lstat(path)
        # A folder's time changes when Python caches bytecode in it, which changes nothing.
        folder = stat.S_ISDIR(status.st_mode)
        found.append((str(path), 0, 0) if folder else (str(path), status.st_size, status.st_mtime_ns))
    return sorted(found)


def _conda_record(prefix: Path) -> Iterator[str]:
    yield from (path for path in _entries(prefix / "conda-meta") if path.endswith(".json"))
    yield from _python_record(prefix)


def _python_record(prefix: Path) -> Iterator[str]:
    """Programs, what lies directly in site-packages, and each distribution's list of files.

    An environment of 300 distributions is looked at before every start, so nothing here looks twice.
    """
    yield from _entries(prefix / "bin")
    if (prefix / "pyvenv.cfg").exists():
        yield str(prefix / "pyvenv.cfg")
    for packages in prefix.glob("lib/python*/site-packages"):
        for path in _entries(packages):
            if path.endswith("__pycache__"):
                continue
            yield path
            if path.endswith((".dist-info", ".egg-info")):
                record = f"{path}/{'RECORD' if path.endswith('.dist-info') else 'PKG-INFO'}"
                if os.path.exists(record):
                    yield record


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []


def _requirements(file: Path) -> dict[str, Any]:
    if file.name in ("uv.lock", "pyproject.toml"):
        folder = file.parent
        documents = [path for path in (folder / "pyproject.toml", folder / "uv.lock") if path.exists()]
        content = {path.name: path.read_text(errors="surrogateescape") for path in documents}
        # Without a build system only what it depends on is installed, and not the project.
        own = _files(_project_files(folder)) if "[build-system]" in content.get("pyproject.toml", "") else []
        return {"content": content, "project": own}
    seen: dict[str, str] = {}
    _read_nested(file, seen)
    return {"content": seen}


def _read_nested(file: Path, seen: dict[str, str]) -> None:
    if str(file) in seen:
        return
    text = seen[str(file)] = file.read_text(errors="surrogateescape")
    for nested in _NESTED.findall(text):
        if "://" not in nested:
            _read_nested(file.parent / nested, seen)


def _requirement_files(lines: tuple[str, ...]) -> list[Path]:
    """Local files and folders that pip requirements name."""
    named = [Path(line.removeprefix("-r ")) for line in lines]
    return [path for path in named if path.is_absolute() and path.exists()]


def _project_files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in _SKIPPED and not f.endswith(".egg-info")]
        folders[:] = [f for f in folders if not (Path(root) / f / "pyvenv.cfg").exists()]
        yield from (Path(root) / name for name in files if not name.endswith(".pyc"))
