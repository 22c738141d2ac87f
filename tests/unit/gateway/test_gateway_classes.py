"""Finding Hadoop's client classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway.classes import find_hadoop


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def installation(home: Path, version: str = "3.3.6") -> Path:
    share = home / "share" / "hadoop"
    touch(
        share / "common" / f"hadoop-common-{version}.jar",
        share / "common" / f"hadoop-common-{version}-tests.jar",
        share / "common" / "lib" / "zeta-1.jar",
        share / "common" / "lib" / "guava-27.jar",
        share / "hdfs" / f"hadoop-hdfs-client-{version}.jar",
        share / "hdfs" / "lib" / "guava-27.jar",
        share / "yarn" / f"hadoop-yarn-api-{version}.jar",
        share / "tools" / "lib" / "hadoop-sls.jar",
        home / "etc" / "hadoop" / "core-site.xml",
    )
    return home


def hadoop_script(folder: Path, body: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "hadoop"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


def test_an_installation(tmp_path: Path) -> None:
    found = find_hadoop(installation(tmp_path), {})
    assert found.version == "3.3.6"
    names = [jar.name for jar in found.jars]
    assert names[:3] == ["hadoop-common-3.3.6.jar", "hadoop-yarn-api-3.3.6.jar", "hadoop-hdfs-client-3.3.6.jar"]
    assert names.count("guava-27.jar") == 1
    assert names[-1] == "zeta-1.jar"
    assert "hadoop-common-3.3.6-tests.jar" not in names
    assert "hadoop-sls.jar" not in names


def test_the_argument_comes_before_hadoop_home(tmp_path: Path) -> None:
    given = installation(tmp_path / "given", "3.5.0")
    other = installation(tmp_path / "other", "3.3.6")
    assert find_hadoop(given, {"HADOOP_HOME": str(other)}).version == "3.5.0"
    assert find_hadoop(None, {"HADOOP_HOME": str(other)}).version == "3.3.6"


def test_hadoop_classpath_is_expanded_without_its_configuration(tmp_path: Path) -> None:
    home = installation(tmp_path / "lib", "3.4.1")
    line = f"{home}/etc/hadoop:{home}/share/hadoop/common/*:{home}/share/hadoop/common/lib/guava-27.jar:/none/*"
    hadoop_script(tmp_path / "bin", f"echo 'WARNING: something'\necho '{line}'")
    found = find_hadoop(None, {"PATH": str(tmp_path / "bin")})
    assert [jar.name for jar in found.jars] == ["hadoop-common-3.4.1.jar", "guava-27.jar"]


def test_a_home_of_another_layout_is_asked_through_its_own_script(tmp_path: Path) -> None:
    parcels = tmp_path / "parcels"
    touch(parcels / "hadoop-common-3.1.1.7.1.9.0-387.jar")
    hadoop_script(tmp_path / "home" / "bin", f"echo '{parcels}/*'")
    assert find_hadoop(tmp_path / "home", {}).version == "3.1.1.7.1.9.0-387"


def test_the_shaded_client_is_a_hadoop_too(tmp_path: Path) -> None:
    touch(tmp_path / "hadoop-client-api-3.5.0.jar", tmp_path / "hadoop-client-runtime-3.5.0.jar")
    assert find_hadoop(tmp_path, {}).version == "3.5.0"


def test_the_cache_is_last_and_its_newest_complete_version_is_taken(tmp_path: Path) -> None:
    cache = tmp_path / "knit-provider" / "hadoop"
    for version, complete in (("3.3.6", True), ("3.10.0", True), ("3.11.0", False)):
        touch(cache / version / "jars" / f"hadoop-common-{version}.jar")
        if complete:
            (cache / version / "manifest.json").write_text(json.dumps({"jars": {}}))
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/nonexistent"}
    assert find_hadoop(None, environ).version == "3.10.0"


def test_nothing_found_says_what_to_do(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/nonexistent"}
    with pytest.raises(ConfigurationError, match=r"HADOOP_HOME is not set.*hadoop_home=.*knit-provider\[jvm\]"):
        find_hadoop(None, environ)


def test_a_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"HADOOP_HOME=/nonexistent/hadoop is not a folder"):
        find_hadoop(None, {"HADOOP_HOME": "/nonexistent/hadoop"})


def test_a_folder_that_is_no_hadoop_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "guava-27.jar")
    with pytest.raises(ConfigurationError, match=rf"hadoop_home={tmp_path} holds no hadoop-common.*1 jars"):
        find_hadoop(tmp_path, {})


def test_a_script_that_fails_is_quoted(tmp_path: Path) -> None:
    hadoop_script(tmp_path, "echo 'JAVA_HOME is not set' >&2; exit 1")
    with pytest.raises(ConfigurationError, match=r"classpath` ended with 1: JAVA_HOME is not set"):
        find_hadoop(None, {"PATH": str(tmp_path)})
