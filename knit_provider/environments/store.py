"""The local cache of builds: a request's digest leads to its archive.

An archive counts only with a sidecar that has its size and time, and the sidecar comes last. Whatever a killed build
leaves lies in a work folder that nobody reads, and goes with the next build.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import IO

from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.progress import Progress
from knit_provider.environments.sidecar import SUFFIX, read_sidecar, sidecar_path, write_sidecar
from knit_provider.yarn.errors import EnvironmentBuildError
from knit_provider.yarn.files.archives import free_bytes
from knit_provider.yarn.user_cache import private_folder

LOCK_TIMEOUT = 3600.0
"""Seconds to wait for another process that builds the same environment."""


class Store:
    """The cache in one folder.

    Args:
        root: its folder; default ``$XDG_CACHE_HOME/knit-provider/envs``, below ``~/.cache``.
        packages: where unpacked conda packages are kept; default in it.

    Raises:
        EnvironmentBuildError: there is no such folder that is ours alone.
    """

    def __init__(self, root: Path | None = None, packages: Path | None = None) -> None:
        if root is None:
            root = _own_folder()
            if root is None:
                raise EnvironmentBuildError(
                    "others can write to ~/.cache/knit-provider/envs, so what is there cannot be trusted; make it "
                    "yours alone (chmod 700), set XDG_CACHE_HOME, or give cache_dir="
                )
        self.root = root.absolute()
        self.packages = packages or self.root / "pkgs"
        try:
            for folder in (self._builds, self._locks, self._work):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentBuildError(
                f"the cache of environments {self.root} cannot be used: {error.strerror}. Give another cache_dir="
            ) from error

    @property
    def repodata(self) -> Path:
        """Where conda channels' indexes are kept."""
        return self.root / "repodata"

    @property
    def _builds(self) -> Path:
        return self.root / "builds"

    @property
    def _locks(self) -> Path:
        return self.root / "locks"

    @property
    def _work(self) -> Path:
        return self.root / "work"

    def find(self, key: str, name: str, format: str) -> PackedEnvironment | None:  # noqa: A002 - as callers say it
        """The environment that a request led to before; None if it has to be built.

        Args:
            key: the request's digest.
            name: what it is to be called; the same request under another name shares its bytes.
            format: of its archive.
        """
        folder = self._builds / key
        archive = folder / f"{name}.{format}"
        found = read_sidecar(archive)
        if found is not None and _marked(archive):
            return replace(found, reused=True)
        for sidecar in sorted(folder.glob(f"*.{format}{SUFFIX}")):
            other = read_sidecar(str(sidecar)[: -len(SUFFIX)])
            if other is not None and _marked(other.path):
                return replace(self._under_name(other, archive, name), reused=True)
        return None

    def keep(self, key: str, built: PackedEnvironment) -> PackedEnvironment:
        """Move a complete archive from a work folder into the cache, in the place of the request's earlier ones.

        Other names of the same request lead to it too from then on.

        Returns:
            The environment with its place there. An equal archive that is there already stays.
        """
        folder = self._builds / key
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"{built.name}.{built.format}"
        there = read_sidecar(target)
        if there is not None and (there.digest, there.warnings) == (built.digest, built.warnings):
            kept = there
        else:
            os.replace(built.path, target)
            kept = replace(built, path=str(target))
            write_sidecar(kept)
        for sidecar in folder.glob(f"*.{built.format}{SUFFIX}"):
            archive = Path(str(sidecar)[: -len(SUFFIX)])
            other = read_sidecar(archive)
            if other is not None and other.digest != kept.digest:
                # Not removed: somebody was given its path, and may be about to upload it.
                self._under_name(kept, archive, other.name)
        return kept

    def seen(self, archive: Path) -> Path:
        """Where a sidecar is kept of an archive that is somebody else's."""
        folder = self.root / "seen"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder / f"{sha256(os.fsencode(archive)).hexdigest()[:32]}{SUFFIX}"

    def prune(self, older_than: float) -> list[PackedEnvironment]:
        """Remove builds that nobody asked for any more; what is in HDFS stays there.

        Args:
            older_than: seconds since a build was last made or found.

        Returns:
            What is gone. One that is being built or found at this moment stays.
        """
        gone: list[PackedEnvironment] = []
        with self.work_folder() as work:
            for folder in sorted(self._builds.iterdir()):
                with (self._locks / f"{folder.name}.lock").open("w") as handle:
                    if not _locked(handle) or time.time() - _last_use(folder) <= older_than:
                        continue
                    # Out of sight before the second look: who finds it from now on waits for the lock, and builds anew.
                    away = folder.rename(work / folder.name)
                    if time.time() - _last_use(away) <= older_than:
                        away.rename(folder)
                        continue
                    found = (read_sidecar(str(sidecar)[: -len(SUFFIX)]) for sidecar in sorted(away.glob(f"*{SUFFIX}")))
                    gone += [replace(env, path=str(folder / Path(env.path).name)) for env in found if env is not None]
        return gone

    def _under_name(self, other: PackedEnvironment, archive: Path, name: str) -> PackedEnvironment:
        temporary = archive.with_name(f".{archive.name}.{os.getpid()}-{threading.get_ident()}")
        temporary.unlink(missing_ok=True)
        try:
            os.link(other.path, temporary)
        except OSError:  # a filesystem without hard links
            shutil.copyfile(other.path, temporary)
        temporary.replace(archive)
        named = replace(other, name=name, path=str(archive))
        write_sidecar(named)
        return named

    @contextmanager
    def lock(self, key: str, progress: Progress) -> Iterator[None]:
        """Hold a request's lock; the kernel lets go of it when its holder dies.

        Raises:
            EnvironmentBuildError: another process has held it for an hour.
        """
        with (self._locks / f"{key}.lock").open("w") as handle:
            if not _locked(handle):
                with progress.stage("wait for another process that builds this environment"):
                    deadline = time.monotonic() + LOCK_TIMEOUT
                    while not _locked(handle):
                        if time.monotonic() > deadline:
                            raise EnvironmentBuildError(
                                f"another process has been building this environment for {LOCK_TIMEOUT:.0f} s (it "
                                f"holds {handle.name}); end it, or give another cache_dir="
                            )
                        time.sleep(0.2)
            yield

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A folder for one build, gone at its end; those of killed builds go too."""
        with (self.root / "work.lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            self._sweep()
            folder = Path(tempfile.mkdtemp(prefix="build-", dir=self._work))
            holder = (self._work / f"{folder.name}.lock").open("w")
            fcntl.flock(holder, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(holder.name).unlink(missing_ok=True)
            holder.close()

    def _sweep(self) -> None:
        for folder in self._work.iterdir():
            if folder.suffix == ".lock":
                continue
            lock = self._work / f"{folder.name}.lock"
            with lock.open("w") as handle:
                if _locked(handle):
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.unlink(missing_ok=True)


def _marked(archive: str | os.PathLike[str]) -> bool:
    """Mark a build as used; False if it is gone."""
    try:
        os.utime(sidecar_path(archive))
    except FileNotFoundError:
        return False
    except PermissionError:
        pass  # a cache that is only read is not pruned by its readers either
    return True


def _last_use(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.glob(f"*{SUFFIX}")))


def _own_folder() -> Path | None:
    try:
        return private_folder(os.environ, "envs")
    except OSError as error:
        raise EnvironmentBuildError(
            f"there is no room of one's own for environments: {error}. Set XDG_CACHE_HOME, or give cache_dir="
        ) from error


def _locked(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def require_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to go on without room.

    Args:
        folder: where it will be written; it exists.
        needed: bytes.
        what: what takes them, in words.

    Raises:
        EnvironmentBuildError: there is less.
    """
    free = free_bytes(folder)
    if free < needed:
        raise EnvironmentBuildError(
            f"{what} needs about {needed / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB are free. Make room, or "
            "give another cache_dir="
        )


def digest_of(request: object) -> str:
    """The key of a request: equal requests have equal keys."""
    return sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:40]
