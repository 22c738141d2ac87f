"""Hadoop's shaded client: two jars in place of some two hundred, out of an installation or by Maven.

With what they need for logging, they are all that an ApplicationMaster loads. Fewer and smaller jars open faster, and
they can travel with an application.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError

_TIMEOUT = 1800.0  # seconds for Maven: 50 MB over a slow line
_NEEDED_BYTES = 150 * 1024 * 1024  # the jars, and Maven's own copies of them
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_CLIENT = ("hadoop-client-api-", "hadoop-client-runtime-")
# The shaded jars have everything inside but their logging, and in older versions tracing.
_BESIDE = ("slf4j-api-", "commons-logging-")
_LOGGING = (("slf4j-reload4j-", "reload4j-"), ("slf4j-log4j12-", "log4j-1"))
_MAYBE = ("htrace-core4-",)

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>io.knitprovider.cache</groupId><artifactId>hadoop-client-{version}</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.hadoop</groupId><artifactId>hadoop-client-runtime</artifactId><version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def client_jars(version: str, hadoop_home: str | None = None, environ: Mapping[str, str] | None = None) -> list[Path]:
    """Hadoop's shaded client, in class path order.

    Taken from ``share/hadoop/client`` of ``hadoop_home`` or ``HADOOP_HOME`` where an installation has it, else from the
    user's cache, which Maven fills on first use.

    Args:
        version: of Hadoop, such as ``"3.3.6"``.
        hadoop_home: an installation's folder.
        environ: the environment to look in; ``os.environ`` by default, which is never changed.

    Raises:
        ConfigurationError: they are nowhere, and Maven is not there or could not fetch them.
    """
    environ = os.environ if environ is None else environ
    if home := hadoop_home or environ.get("HADOOP_HOME"):
        share = Path(home) / "share" / "hadoop"
        if found := _pick([*(share / "client").glob("*.jar"), *(share / "common" / "lib").glob("*.jar")]):
            return found
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".cache")
    folder = Path(base) / "knit-provider" / "hadoop-client" / version
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
    way_out = (
        "install Maven 3.6.3 or newer, set HADOOP_HOME to an installation with share/hadoop/client, or use "
        'am_classes="cluster"'
    )
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise ConfigurationError(
            f'am_classes="shipped" needs the jars hadoop-client-api and hadoop-client-runtime {version}. They are not '
            f"in {folder}, and there is no Maven (mvn) on PATH to fetch them: {way_out}"
        )
    root = folder.parent
    try:
        root.mkdir(parents=True, exist_ok=True)
        with (root / f"{version}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return  # somebody else fetched them while we waited
            if shutil.disk_usage(root).free < _NEEDED_BYTES:
                raise ConfigurationError(f"{root} has no room for Hadoop's client jars ({_NEEDED_BYTES >> 20} MiB)")
            with tempfile.TemporaryDirectory(prefix=f".{version}-", dir=root) as building:
                jars = _run(maven, version, Path(building), root / f"{version}.log", way_out, environ)
                # Whole or not at all.
                jars.rename(folder)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be filled: {error}; {way_out}") from error


def _run(maven: str, version: str, folder: Path, log: Path, way_out: str, environ: Mapping[str, str]) -> Path:
    (folder / "pom.xml").write_text(_POM.format(version=version))
    command = [
        maven, "--batch-mode", "--no-transfer-progress", "--file", str(folder / "pom.xml"), _PLUGIN,
        f"-DoutputDirectory={folder / 'jars'}", "-DincludeScope=runtime",
    ]  # fmt: skip
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environ),
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(
                f"Maven did not fetch Hadoop {version}'s client jars within {_TIMEOUT:.0f} s; its output is in {log}; "
                f"{way_out}"
            ) from error
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()
        said = "\n".join(f"  {line}" for line in [one for one in lines if "ERROR" in one][:6] or lines[-6:])
        raise ConfigurationError(
            f"Maven could not fetch Hadoop {version}'s client jars (exit code {done.returncode}); {way_out}. Its "
            f"output is in {log}:\n{said}"
        )
    return folder / "jars"
