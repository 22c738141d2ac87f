"""Hadoop's native library, without which a NodeManager refuses to aggregate logs under Kerberos."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from knit_provider.localcluster.disk import disk_errors
from knit_provider.localcluster.jars import cache_root
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.maven import Artifact, cache_lock, fetch_one, find_maven

# Hadoop's own artifacts have the classes only. This one carries the library, and fits Hadoop 3.3.
_ARTIFACT = Artifact("io.trino.hadoop", "hadoop-apache", "3.3.5-3")
_LIBRARY = "libhadoop.so"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "aarch64", "arm64": "aarch64", "ppc64le": "ppc64le"}


def native_library(*, environ: Mapping[str, str] | None = None, report: Callable[[str], None] = lambda _: None) -> Path:
    """Returns the folder that holds ``libhadoop.so``, and has Maven fetch it first if the cache has none.

    Args:
        environ: environment to read; ``os.environ`` by default.
        report: told in words what is going on, when it takes long.

    Raises:
        ConfigurationError: no library for this machine, no Maven, a full disk, or Maven could not fetch it.
    """
    environ = os.environ if environ is None else environ
    machine = _MACHINES.get(platform.machine().lower())
    if platform.system() != "Linux" or machine is None:
        raise ConfigurationError(
            f"There is no {_LIBRARY} for {platform.system()} on {platform.machine()}, which a cluster with Kerberos "
            f"needs; there is for Linux on {', '.join(sorted(set(_MACHINES.values())))}."
        )
    root = cache_root(environ)
    folder = root / f"native-{_ARTIFACT.version}"
    if (folder / _LIBRARY).is_file():
        return folder
    with disk_errors(root, "The cache of Hadoop's native library"):
        root.mkdir(parents=True, exist_ok=True)
        with cache_lock(root / "native.lock", report):
            if not (folder / _LIBRARY).is_file():  # somebody else may have finished while we waited
                _fetch(root, folder, f"nativelib/Linux-{machine}/{_LIBRARY}", environ, report)
    return folder


def _fetch(root: Path, folder: Path, member: str, environ: Mapping[str, str], report: Callable[[str], None]) -> None:
    maven = find_maven(environ, f"Hadoop's {_LIBRARY} is", folder)
    report(f"Fetching Hadoop's {_LIBRARY} with Maven into {folder} (once per user)")
    building = Path(tempfile.mkdtemp(prefix=".native-", dir=root))
    try:
        jar = fetch_one(maven, _ARTIFACT, building, root / "native.log", environ)
        ready = building / "ready"
        ready.mkdir()
        with zipfile.ZipFile(jar) as archive, archive.open(member) as source, (ready / _LIBRARY).open("wb") as target:
            shutil.copyfileobj(source, target)
        shutil.rmtree(folder, ignore_errors=True)
        ready.rename(folder)
    except (KeyError, FileNotFoundError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{_ARTIFACT.file} holds no {member} ({error}); see {root / 'native.log'}.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
