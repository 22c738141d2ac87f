"""Hadoop's shaded client: two jars in place of some two hundred, out of an installation, by Maven or over HTTPS.

With what they need for logging, they are all that an ApplicationMaster loads, and a gateway too. Fewer and smaller jars
open faster, and they can travel with an application.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway import repository
from knit_provider.yarn.gateway.maven import (
    Artifact,
    cache_lock,
    fetch_with_dependencies,
    hadoop,
)
from knit_provider.yarn.user_cache import cache_folder

logger = logging.getLogger(__name__)

DEFAULT_VERSION = "3.5.0"
"""The Hadoop whose client serves where nothing else is installed. It runs on Java 17 and newer ones."""

_NEEDED_BYTES = 150 * 1024 * 1024  # the jars, and Maven's own copies of them
_CLIENT = ("hadoop-client-api-", "hadoop-client-runtime-")
# The shaded jars have everything inside but their logging, and in older versions tracing.
_BESIDE = ("slf4j-api-", "commons-logging-")
_LOGGING = (("slf4j-reload4j-", "reload4j-"), ("slf4j-log4j12-", "log4j-1"))
_MAYBE = ("htrace-core4-",)
_BINDING = Artifact("org.slf4j", "slf4j-reload4j", "1.7.36")
# What Maven finds by itself. The same do for every Hadoop 3.
_WITHOUT_MAVEN = (
    Artifact("org.slf4j", "slf4j-api", "1.7.36"),
    _BINDING,
    Artifact("ch.qos.reload4j", "reload4j", "1.2.22"),
    Artifact("commons-logging", "commons-logging", "1.3.0"),
)
# SHA-256 of what is fetched without anybody having asked for a version.
_KNOWN = {
    "hadoop-client-api-3.5.0.jar": "cc59446ec9ebaceae56fdb8d8c21477766dc5d426325642151c796bec5c4e6b7",
    "hadoop-client-runtime-3.5.0.jar": "b7db3e60c5df1cd37c2995b3e0142e57487260706834e5325bbe0a5e683eedf1",
    "slf4j-api-1.7.36.jar": "d3ef575e3e4979678dc01bf1dcce51021493b4d11fb7f1be8ad982877c16a1c0",
    "slf4j-reload4j-1.7.36.jar": "ae6fdd5c9547896114d5ec7fa7503733b7d2890573d3886fb548b3119c4d3f67",
    "reload4j-1.2.22.jar": "222f90d3e69541218ef6e70547749d693bd4c1846817e5bd7949b3e28950f99f",
    "commons-logging-1.3.0.jar": "66d3c980470b99b0c511dad3dfc0ae7b265ec1fb144e96bc0253a8a175fd34d9",
}


def client_jars(version: str, hadoop_home: str | None = None, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Hadoop's shaded client, in class path order.

    Taken from ``share/hadoop/client`` of ``hadoop_home`` or ``HADOOP_HOME`` where an installation has it, else from the
    user's cache, which is filled on first use: by Maven where it is on ``PATH``, else over HTTPS from the repository
    that ``KNIT_MAVEN_REPOSITORY`` names, or Maven Central. With that variable set, Maven is not asked.

    Args:
        version: of Hadoop, such as ``"3.3.6"``.
        hadoop_home: an installation's folder.
        environ: the environment to look in; ``os.environ`` by default, which is never changed.

    Raises:
        ConfigurationError: they are nowhere, and could not be fetched.
    """
    environ = os.environ if environ is None else environ
    if home := hadoop_home or environ.get("HADOOP_HOME"):
        share = Path(home) / "share" / "hadoop"
        if found := _pick([*(share / "client").glob("*.jar"), *(share / "common" / "lib").glob("*.jar")]):
            return found
    folder = cache_folder(environ, "hadoop-client") / version
    found = _pick(folder.glob("*.jar"))
    if not found:
        _fetch(version, folder, environ)
        found = _pick(folder.glob("*.jar"))
    if not found:
        raise ConfigurationError(
            f"{folder} lacks some of Hadoop's client jars; remove that folder, and they are fetched again"
        )
    return found


def _pick(jars: Iterable[Path]) -> list[Path]:
    """The jars that are needed, in order; nothing if one of them is missing."""
    names = {jar.name: jar for jar in jars}

    def first(prefix: str) -> Path | None:
        return next((names[name] for name in sorted(names) if name.startswith(prefix)), None)

    needed = [first(prefix) for prefix in (*_CLIENT, *_BESIDE)]
    logging = next((both for both in ([first(p) for p in pair] for pair in _LOGGING) if None not in both), [None])
    found = [jar for jar in (*needed, *logging) if jar is not None]
    if len(found) < len(needed) + 2:
        return []
    return found + [jar for jar in map(first, _MAYBE) if jar is not None]


def _fetch(version: str, folder: Path, environ: Mapping[str, str]) -> None:
    root = folder.parent
    maven = None if environ.get(repository.VARIABLE) else shutil.which("mvn", path=environ.get("PATH"))
    what = f"Hadoop {version}'s client jars"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with cache_lock(root / f"{version}.lock", logger.info):
            if folder.is_dir():
                return  # somebody else fetched them while we waited
            if shutil.disk_usage(root).free < _NEEDED_BYTES:
                raise ConfigurationError(f"{root} has no room for Hadoop's client jars ({_NEEDED_BYTES >> 20} MiB)")
            logger.info("fetching %s into %s, once per user", what, folder)
            with tempfile.TemporaryDirectory(prefix=f".{version}-", dir=root) as building:
                if maven is not None:
                    wanted = [hadoop("hadoop-client-runtime", version), _BINDING]
                    log = root / f"{version}.log"
                    jars = fetch_with_dependencies(maven, wanted, Path(building), log, what, environ)
                else:
                    jars = Path(building) / "jars"
                    jars.mkdir()
                    repository.fetch(_without_maven(version), jars, environ, _KNOWN)
                # Whole or not at all.
                jars.rename(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be filled: {error}; set HADOOP_HOME to an installation with share/hadoop/client"
        ) from error


def _without_maven(version: str) -> list[Artifact]:
    client = [hadoop("hadoop-client-api", version), hadoop("hadoop-client-runtime", version)]
    # Tracing was a library of its own until Hadoop 3.3.
    old = version.startswith(("3.0.", "3.1.", "3.2."))
    tracing = [Artifact("org.apache.htrace", "htrace-core4", "4.1.0-incubating")] if old else []
    return [*client, *_WITHOUT_MAVEN, *tracing]
