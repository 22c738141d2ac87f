"""Builds and packs an environment, or takes it out of the local cache if the same was asked for before."""

from __future__ import annotations

import json
import logging
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path

from knit_provider.environments.archive_file import FORMATS, ArchiveFile, files_below
from knit_provider.environments.fingerprint import request_of
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.progress import Progress, progress_here
from knit_provider.environments.ready import look_through
from knit_provider.environments.sources import (
    CondaLock,
    CondaPackages,
    CondaPrefix,
    ReadyArchive,
    Source,
    UvRequirements,
    VenvPrefix,
    source_of,
)
from knit_provider.environments.store import Store, digest_of, require_room
from knit_provider.yarn.errors import EnvironmentBuildError

log = logging.getLogger(__name__)

LAYOUT = 1
"""Counted up when archives are made otherwise than before, so that no older one is reused."""


def build(
    source: Source | str,
    *,
    format: str = "tar.gz",  # noqa: A002 - the name that users know
    ignore_editable: bool = False,
    ignore_missing: bool = False,
    refresh: bool = False,
    cache_dir: Path | None = None,
    packages_dir: Path | None = None,
    progress: Progress | None = None,
) -> PackedEnvironment:
    """Build and pack an environment.

    The same request is built once: what it led to stays in the local cache, and comes back without solving or packing.
    Several processes may ask for it at once; one builds, the others wait for it.

    Args:
        source: what it is made from, or a reference as :func:`source_of` takes it.
        format: ``tar.gz`` (default), ``tar`` or ``zip``.
        ignore_editable: go on where packages are installed from folders outside the environment; they will be missing.
        ignore_missing: go on where another package manager removed or replaced files of conda's packages.
        refresh: solve and pack anew, whatever the cache has (default False).
        cache_dir: the cache's folder; default ``~/.cache/knit-provider/envs``.
        packages_dir: the folder of unpacked conda packages; default in the cache.
        progress: told of every stage; default bars on a terminal, log lines elsewhere.

    Returns:
        The packed environment; ``reused`` says whether it came out of the cache.

    Raises:
        EnvironmentBuildError: it cannot be built; the message has the reason. The cache is as it was.
    """
    if format not in FORMATS:
        raise EnvironmentBuildError(f"format={format!r} is not one of {', '.join(FORMATS)}")
    if isinstance(source, str):
        source = source_of(source)
    store = Store(cache_dir, packages_dir)
    progress = progress or progress_here()
    if isinstance(source, ReadyArchive):
        return look_through(source, store, progress)
    request = {**request_of(source), "format": format, "editable": ignore_editable, "missing": ignore_missing}
    key = digest_of({**request, "layout": LAYOUT})
    found = None if refresh else store.find(key, source.name, format)
    if found is not None:
        return found
    with store.lock(key, progress):
        found = None if refresh else store.find(key, source.name, format)
        if found is not None:
            return found
        try:
            with store.work_folder() as work:
                built = _made(source, work, format, store, progress, ignore_editable, ignore_missing)
                kept = store.keep(key, built)
        except OSError as error:
            raise EnvironmentBuildError(
                f"the environment {source.name} could not be built in {store.root}: {error.strerror or error}. Make "
                "room, or give another cache_dir="
            ) from error
    for warning in kept.warnings:
        log.warning("environment %s: %s", kept.name, warning)
    return kept


def _made(
    source: Source,
    work: Path,
    format: str,  # noqa: A002
    store: Store,
    progress: Progress,
    ignore_editable: bool,
    ignore_missing: bool,
) -> PackedEnvironment:
    """Make the environment's folder where there is none yet, and pack it."""
    said: list[str] = []
    if isinstance(source, CondaPackages | CondaLock):
        from knit_provider.environments.conda_build import make_conda_prefix

        prefix, kind = work / "env", "conda"
        said += make_conda_prefix(source, prefix, store, progress)
    elif isinstance(source, UvRequirements):
        from knit_provider.environments.uv_build import make_venv

        prefix, kind = work / "env", "uv"
        make_venv(source, prefix, progress)
    else:
        assert isinstance(source, CondaPrefix | VenvPrefix)
        prefix, kind = Path(source.prefix), source.kind
    size = sum((prefix / name).lstat().st_size for name in files_below(prefix))
    require_room(work, size, f"packing {source.name}")
    path = work / f"{source.name}.{format}"
    with progress.stage("pack", size) as stage:
        archive = ArchiveFile(path, format, prefix, stage)
        try:
            said += _packed(prefix, archive, ignore_editable, ignore_missing)
            archive.close()
        except BaseException:
            archive.abandon()
            raise
    packages, python = contents(prefix)
    return PackedEnvironment(
        name=source.name,
        path=str(path),
        digest=archive.digest,
        size=archive.size,
        format=format,
        kind=kind,
        python=python,
        platform=platform_name(),
        packages=packages,
        warnings=tuple(said),
    )


def _packed(prefix: Path, archive: ArchiveFile, ignore_editable: bool, ignore_missing: bool) -> list[str]:
    if (prefix / "conda-meta").is_dir():
        from knit_provider.environments.conda_packing import pack_conda

        return pack_conda(prefix, archive, ignore_editable=ignore_editable, ignore_missing=ignore_missing)
    from knit_provider.environments.venv_packing import pack_venv

    return pack_venv(prefix, archive, ignore_editable=ignore_editable)


def contents(prefix: Path) -> tuple[tuple[str, ...], str]:
    """Packages of an environment as ``name=version``, and its Python's version (``""`` without one)."""
    found: dict[str, str] = {}
    for places in prefix.glob("lib/python*/site-packages"):
        for distribution in distributions(path=[str(places)]):
            name = distribution.metadata["Name"]
            if name:
                found[name.lower().replace("_", "-")] = distribution.version
    python = ""
    for record in (prefix / "conda-meta").glob("*.json"):
        document = json.loads(record.read_text())
        found[document["name"]] = document["version"]
        if document["name"] == "python":
            python = document["version"]
    if not python:
        from knit_provider.environments.venv_packing import settings

        config = settings(prefix)
        python = config.get("version_info", config.get("version", "")).split("+")[0]
        python = ".".join(python.split(".")[:3])
    return tuple(f"{name}={version}" for name, version in sorted(found.items())), python


def platform_name() -> str:
    """This machine's platform as conda calls it, such as ``linux-64``."""
    system = {"linux": "linux", "darwin": "osx"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    bits = {"x86_64": "64", "amd64": "64", "arm64": "arm64" if system == "osx" else "aarch64"}
    return f"{system}-{bits.get(machine, machine)}"


__all__ = ["build", "source_of"]
