"""An archive that something else packed (conda-pack, venv-pack, a Dockerfile's step): looked through, used as it is."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.progress import Progress, Stage
from knit_provider.environments.sidecar import read_sidecar, write_sidecar
from knit_provider.environments.sources import ReadyArchive
from knit_provider.environments.store import Store
from knit_provider.yarn.errors import ConfigurationError, EnvironmentBuildError
from knit_provider.yarn.files import archives

_CHUNK = 1 << 20


def look_through(source: ReadyArchive, store: Store, progress: Progress) -> PackedEnvironment:
    """Look through an archive, once for as long as it does not change.

    Raises:
        EnvironmentBuildError: it is damaged, would be unpacked outside its folder, or is no environment.
    """
    path = Path(source.path)
    # Ours has a sidecar beside it; what is known of somebody else's lies in the cache.
    known = read_sidecar(path) or read_sidecar(path, at=store.seen(path))
    if known is not None:
        return replace(known, name=source.name, reused=True)
    kind = archives.kind_by_name(path.name)
    if kind is None:
        raise EnvironmentBuildError(f"{path} has no ending by which YARN knows an archive (.tar.gz, .tgz, .tar, .zip)")
    try:
        with progress.stage("look through"):
            archives.scan(path, kind, is_environment=True)
            _require_interpreter(path, kind)
        size = path.stat().st_size
        with progress.stage("digest", size) as stage:
            digest = _digest(path, stage)
    except ConfigurationError as error:
        raise EnvironmentBuildError(str(error)) from error
    except OSError as error:
        raise EnvironmentBuildError(f"{path} cannot be read: {error.strerror or error}") from error
    env = PackedEnvironment(source.name, str(path), digest, size, kind.lstrip("."), "archive")
    write_sidecar(env, at=store.seen(path))
    return env


def _require_interpreter(path: Path, kind: str) -> None:
    if not any(_is_interpreter(name) for name in _names(path, kind)):
        raise EnvironmentBuildError(
            f"{path} is no Python environment: it has no bin/python, neither at its root nor under one folder"
        )


def _is_interpreter(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return parts[-2:-1] == ["bin"] and parts[-1] in ("python", "python3") and len(parts) <= 3


def _names(path: Path, kind: str) -> Iterable[str]:
    if kind == ".zip":
        with zipfile.ZipFile(path) as archive:
            yield from archive.namelist()
        return
    with tarfile.open(path, "r|gz" if kind == ".tar.gz" else "r|") as tar:
        for member in tar:
            yield member.name


def _digest(path: Path, stage: Stage) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            stage.advance(len(chunk))
    return digest.hexdigest()
