"""Hadoop's jars: resolved once by Maven into a cache of the user's, and checked before each use."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from knit_provider.localcluster.disk import disk_errors, require_space
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.maven import cache_lock, fetch_with_dependencies, find_maven, hadoop
from knit_provider.yarn.user_cache import cache_folder

HADOOP_VERSIONS = ("3.5.0", "3.3.6")
_MANIFEST = "manifest.json"
# What has to be among the jars for every daemon to have its main class.
_REQUIRED = (
    "hadoop-common-",
    "hadoop-hdfs-",
    "hadoop-yarn-server-resourcemanager-",
    "hadoop-yarn-server-nodemanager-",
    "hadoop-mapreduce-client-hs-",
)
_NEEDED_BYTES = 400 * 1024 * 1024  # 115 MB of jars, as much again in Maven's own repository, and room to breathe


def cache_root(environ: Mapping[str, str]) -> Path:
    """The folder of all cached Hadoops: ``$XDG_CACHE_HOME/knit-provider/hadoop``, by default below ``~/.cache``."""
    return cache_folder(environ, "hadoop")


def hadoop_jars(
    version: str, *, environ: Mapping[str, str] | None = None, report: Callable[[str], None] = lambda _: None
) -> Path:
    """Returns the folder that holds the jars of a Hadoop version, and resolves them first if the cache has none.

    Args:
        version: one of ``HADOOP_VERSIONS``.
        environ: environment to read; ``os.environ`` by default.
        report: told in words what is going on, when it takes long.

    Raises:
        ConfigurationError: an unknown version, no Maven, a full disk, or Maven could not resolve.
    """
    environ = os.environ if environ is None else environ
    if version not in HADOOP_VERSIONS:
        raise ConfigurationError(f"Hadoop version {version!r} is not one of {', '.join(HADOOP_VERSIONS)}.")
    root = cache_root(environ)
    folder = root / version
    if is_complete(folder):
        return folder / "jars"
    with disk_errors(root, f"The cache of Hadoop {version}"):
        root.mkdir(parents=True, exist_ok=True)
        with cache_lock(root / f"{version}.lock", report):
            if not is_complete(folder):  # somebody else may have finished while we waited
                _resolve(version, root, folder, environ, report)
    return folder / "jars"


def is_complete(folder: Path) -> bool:
    """Whether a cache folder holds every jar of its manifest, at its size."""
    try:
        sizes = json.loads((folder / _MANIFEST).read_text())["jars"]
        return bool(sizes) and all((folder / "jars" / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _resolve(version: str, root: Path, folder: Path, environ: Mapping[str, str], report: Callable[[str], None]) -> None:
    maven = find_maven(environ, f"Hadoop {version}'s jars are", folder)
    require_space(root, _NEEDED_BYTES, f"the jars of Hadoop {version}")
    report(f"Resolving Hadoop {version}'s jars with Maven into {folder} (once per user)")
    building = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=root))
    try:
        log = root / f"{version}.log"
        wanted = [hadoop("hadoop-minicluster", version)]
        fetch_with_dependencies(maven, wanted, building, log, f"Hadoop {version}", environ)
        jars = {jar.name: jar.stat().st_size for jar in sorted((building / "jars").glob("*.jar"))}
        missing = [prefix for prefix in _REQUIRED if not any(name.startswith(prefix) for name in jars)]
        if missing:
            raise ConfigurationError(f"Maven left out {', '.join(missing)}*.jar of Hadoop {version}; see {log}.")
        (building / _MANIFEST).write_text(json.dumps({"version": version, "jars": jars}, indent=1))
        if folder.exists():
            # Incomplete or damaged. Moved aside first, so that the name is never half there.
            aside = Path(tempfile.mkdtemp(prefix=f".{version}-old-", dir=root))
            folder.rename(aside / "old")
            shutil.rmtree(aside, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
