"""Finds the Java that the daemons run on, and refuses one that this Hadoop cannot run on."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError

# Oldest and newest Java release each Hadoop runs on. 3.5 is compiled for 17; 3.3 calls Subject.getSubject, which
# Java 24 took away.
_RANGES: Mapping[str, tuple[int, int | None]] = {"3.5.0": (17, None), "3.3.6": (8, 23)}


@dataclass(frozen=True)
class Java:
    """A Java runtime.

    Attributes:
        home: its folder, the value of ``JAVA_HOME``.
        major: its release, as in 8, 17 or 25.
    """

    home: Path
    major: int

    @property
    def executable(self) -> Path:
        """The ``java`` command."""
        return self.home / "bin" / "java"

    @property
    def opens(self) -> list[str]:
        """Flags that let Hadoop reach into ``java.base``, as it has to since Java 17; none before Java 9."""
        if self.major < 9:
            return []
        packages = (
            "java.lang",
            "java.io",
            "java.math",
            "java.net",
            "java.nio",
            "java.security",
            "java.text",
            "java.util",
        )
        return [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in packages]


def find_java(environ: Mapping[str, str], hadoop_version: str) -> Java:
    """Finds Java by ``JAVA_HOME``, else by ``java`` on ``PATH``.

    Args:
        environ: the environment to look in.
        hadoop_version: the Hadoop it has to run.

    Raises:
        ConfigurationError: there is none, or this Hadoop does not run on it.
    """
    java = locate_java(environ)
    oldest, newest = _RANGES.get(hadoop_version, (8, None))
    if java.major < oldest or (newest is not None and java.major > newest):
        wanted = f"Java {oldest} to {newest}" if newest is not None else f"Java {oldest} or newer"
        raise ConfigurationError(
            f"Hadoop {hadoop_version} does not run on Java {java.major} ({java.home}); it needs {wanted}. "
            "Set JAVA_HOME to such a one."
        )
    return java


def newest_java(hadoop_version: str) -> int | None:
    """The newest Java release that a Hadoop runs on; None if none is known not to do."""
    return _RANGES.get(hadoop_version, (8, None))[1]


def locate_java(environ: Mapping[str, str]) -> Java:
    """Finds Java as :func:`find_java` does, for whatever Hadoop.

    Raises:
        ConfigurationError: there is none, or it does not run.
    """
    home = environ.get("JAVA_HOME")
    if home:
        if not (Path(home) / "bin" / "java").is_file():
            raise ConfigurationError(
                f"JAVA_HOME is {home}, which has no bin/java. Correct it, or unset it to use PATH."
            )
        return Java(Path(home), _major(Path(home)))
    command = shutil.which("java", path=environ.get("PATH"))
    if command is None:
        raise ConfigurationError(
            "No Java found: JAVA_HOME is not set and PATH has no java. Install a JDK (17 fits all)."
        )
    found = Path(command).resolve().parent.parent
    return Java(found, _major(found))


def _major(home: Path) -> int:
    release = home / "release"
    if release.is_file():
        # Reading one file spares starting a JVM, which costs as much as everything else here together.
        match = re.search(r'^JAVA_VERSION="([^"]+)"', release.read_text(errors="replace"), re.MULTILINE)
        if match:
            return parse_major(match.group(1))
    command = [str(home / "bin" / "java"), "-version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"{command[0]} does not run: {error}. Set JAVA_HOME to a working JDK.") from error
    match = re.search(r'version "([^"]+)"', done.stderr)
    if match is None:
        raise ConfigurationError(f"{command[0]} -version says {done.stderr[:200]!r}, which names no version.")
    return parse_major(match.group(1))


def parse_major(version: str) -> int:
    """The release number in a Java version string: 8 for ``1.8.0_392``, 17 for ``17.0.15``, 25 for ``25-ea``."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    if not numbers:
        raise ConfigurationError(f"{version!r} is not a Java version.")
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]
