"""Finding Java, and refusing the wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit_provider.localcluster.java import find_java, parse_major
from knit_provider.yarn.errors import ConfigurationError


def jdk(folder: Path, version: str, *, release: bool = True) -> Path:
    """A folder that looks like a JDK of some version."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("text", "major"), [("1.8.0_392", 8), ("11.0.2", 11), ("17.0.15", 17), ("25", 25), ("25-ea", 25), ("21.0.1+12", 21)]
)
def test_versions(text: str, major: int) -> None:
    assert parse_major(text) == major


def test_java_home_wins_over_path(tmp_path: Path) -> None:
    one, two = jdk(tmp_path / "one", "17.0.1"), jdk(tmp_path / "two", "21.0.1")
    found = find_java({"JAVA_HOME": str(one), "PATH": str(two / "bin")}, "3.5.0")
    assert (found.home, found.major) == (one, 17)


def test_java_on_path_is_followed_to_its_home(tmp_path: Path) -> None:
    home = jdk(tmp_path / "jdk", "17.0.1", release=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    found = find_java({"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, "3.5.0")
    assert (found.home, found.major) == (home, 17)


@pytest.mark.parametrize(
    ("version", "hadoop", "wanted"),
    [("11.0.2", "3.5.0", "Java 17 or newer"), ("24.0.1", "3.3.6", "Java 8 to 23"), ("25", "3.3.6", "Java 8 to 23")],
)
def test_the_wrong_java_is_refused(tmp_path: Path, version: str, hadoop: str, wanted: str) -> None:
    home = jdk(tmp_path / "jdk", version)
    with pytest.raises(ConfigurationError, match=f"Hadoop {hadoop} does not run on Java.*needs {wanted}") as error:
        find_java({"JAVA_HOME": str(home)}, hadoop)
    assert str(home) in str(error.value)


def test_no_java(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="JAVA_HOME is not set and PATH has no java"):
        find_java({"PATH": str(tmp_path)}, "3.5.0")


def test_java_home_without_java_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"JAVA_HOME is {tmp_path}, which has no bin/java"):
        find_java({"JAVA_HOME": str(tmp_path)}, "3.5.0")


def test_java_that_does_not_run_is_named(tmp_path: Path) -> None:
    home = jdk(tmp_path / "jdk", "17", release=False)
    (home / "bin" / "java").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ConfigurationError, match="does not run"):
        find_java({"JAVA_HOME": str(home)}, "3.5.0")
