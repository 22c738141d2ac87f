"""Hadoop's jars: resolved once by Maven into a cache of the user's, and checked before each use."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from knit_provider.localcluster.disk import disk_errors, require_space
from knit_provider.yarn.errors import ConfigurationError

HADOOP_VERSIONS = ("3.5.0", "3.3.6")
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
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
_TIMEOUT = 1800.0

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>io.knitprovider.cache</groupId><artifactId>hadoop-{version}</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.hadoop</groupId><artifactId>hadoop-minicluster</artifactId><version>{version}</version>
    </dependency>
  </dependencies>
</project>
"""


def cache_root(environ: Mapping[str, str]) -> Path:
    """The folder of all cached Hadoops: ``$XDG_CACHE_HOME/knit-provider/hadoop``, by default below ``~/.cache``."""
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "knit-provider" / "hadoop"


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
        (building / "pom.xml").write_text(_POM.format(version=version))
        command = [
            maven, "--batch-mode", "--no-transfer-progress", "--file", str(building / "pom.xml"), _PLUGIN,
            f"-DoutputDirectory={building / 'jars'}", "-DincludeScope=runtime",
        ]  # fmt: skip
        log = root / f"{version}.log"
        run_maven(command, log, f"Hadoop {version}", environ)
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


def find_maven(environ: Mapping[str, str], what: str, folder: Path) -> str:
    """The ``mvn`` command.

    Args:
        environ: whose ``PATH`` is searched.
        what: what it is wanted for, with its verb, for the error.
        folder: where that should have been.

    Raises:
        ConfigurationError: there is none.
    """
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise ConfigurationError(
            f"{what} not in {folder} and there is no Maven (mvn) on PATH to fetch it with. "
            "Install Maven 3.6.3 or newer, or copy that folder from a machine that has it."
        )
    return maven


def run_maven(command: list[str], log: Path, what: str, environ: Mapping[str, str]) -> None:
    """Runs Maven with its output in a file.

    Raises:
        ConfigurationError: it failed; the message has its first words about why.
    """
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(environ),
                timeout=_TIMEOUT,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"Maven could not fetch {what}: {error}. Its output is in {log}.") from error
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines
        raise ConfigurationError(
            f"Maven could not fetch {what} (exit code {done.returncode}); its output is in {log}:\n"
            + "\n".join(f"  {line}" for line in errors[:8])
        )


@contextmanager
def cache_lock(path: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock file of the cache, as long as it takes to get it."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"Another process is filling {path.parent}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
