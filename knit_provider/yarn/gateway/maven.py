"""Maven, where jars come from: run in one way for the embedded cluster, its native library and the client jars."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:"
_TIMEOUT = 1800.0  # seconds: 100 MB over a slow line
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>io.knitprovider.cache</groupId><artifactId>jars</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>{dependencies}
  </dependencies>
</project>
"""
_DEPENDENCY = """
    <dependency>
      <groupId>{0.group}</groupId><artifactId>{0.name}</artifactId><version>{0.version}</version>
    </dependency>"""


@dataclass(frozen=True)
class Artifact:
    """A jar, as Maven's repositories name it."""

    group: str
    name: str
    version: str

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.name}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where it is in a repository."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file}"


def hadoop(name: str, version: str) -> Artifact:
    """One of Hadoop's own."""
    return Artifact("org.apache.hadoop", name, version)


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


def fetch_with_dependencies(
    maven: str, artifacts: Sequence[Artifact], building: Path, log: Path, what: str, environ: Mapping[str, str]
) -> Path:
    """Has Maven put jars, with all that they need at run time, into a folder below ``building``, which it returns.

    Raises:
        ConfigurationError: see :func:`run_maven`.
    """
    (building / "pom.xml").write_text(_POM.format(dependencies="".join(map(_DEPENDENCY.format, artifacts))))
    jars = building / "jars"
    options = ["--file", str(building / "pom.xml"), f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
    run_maven(maven, "copy-dependencies", options, log, what, environ)
    return jars


def fetch_one(maven: str, artifact: Artifact, folder: Path, log: Path, environ: Mapping[str, str]) -> Path:
    """Has Maven put a jar into a folder, and returns its path.

    Raises:
        ConfigurationError: see :func:`run_maven`.
    """
    name = f"{artifact.group}:{artifact.name}:{artifact.version}"
    run_maven(maven, "copy", [f"-Dartifact={name}", f"-DoutputDirectory={folder}"], log, name, environ)
    return folder / artifact.file


def run_maven(maven: str, goal: str, options: Sequence[str], log: Path, what: str, environ: Mapping[str, str]) -> None:
    """Runs a goal of Maven's dependency plugin with its output in a file.

    Raises:
        ConfigurationError: it failed; the message has its first words about why.
    """
    command = [maven, "--batch-mode", "--no-transfer-progress", f"{_PLUGIN}{goal}", *options]
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(environ),
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(f"Maven could not fetch {what}: {error}. Its output is in {log}.") from error
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-8:]
        raise ConfigurationError(
            f"Maven could not fetch {what} (exit code {done.returncode}); its output is in {log}:\n"
            + "\n".join(f"  {line}" for line in errors[:8])
        )


@contextmanager
def cache_lock(path: Path, report: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Holds a lock file of the cache, as long as it takes to get it."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"Another process is filling {path.parent}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
