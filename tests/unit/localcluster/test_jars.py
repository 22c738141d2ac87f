"""The cache of Hadoop's jars, filled by a stand-in for Maven: who calls it, when, and what if it fails."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from knit_provider.localcluster import jars
from knit_provider.localcluster.jars import HADOOP_VERSIONS, cache_root, hadoop_jars, is_complete
from knit_provider.yarn.errors import ConfigurationError

VERSION = HADOOP_VERSIONS[0]
_SERVERS = "hadoop-yarn-server-resourcemanager hadoop-yarn-server-nodemanager"
_NAMES = f"hadoop-common hadoop-hdfs {_SERVERS} hadoop-mapreduce-client-hs"
_MAVEN = """#!/bin/sh
echo call >> "$CALLS"
for word in "$@"; do case "$word" in -DoutputDirectory=*) out="${word#*=}" ;; esac; done
mkdir -p "$out"
sleep ${SLOW:-0}
for name in $NAMES; do echo jar > "$out/$name-X.jar"; done
[ -z "${FAIL:-}" ] || { echo "[ERROR] $FAIL"; exit 1; }
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with a stand-in for Maven and an empty cache."""
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(_MAVEN)
    maven.chmod(maven.stat().st_mode | stat.S_IXUSR)
    return {
        "PATH": f"{maven.parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "CALLS": str(tmp_path / "calls"),
        "NAMES": _NAMES,
    }


def calls(environ: dict[str, str]) -> int:
    path = Path(environ["CALLS"])
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_maven_is_called_once(environ: dict[str, str]) -> None:
    said: list[str] = []
    folder = hadoop_jars(VERSION, environ=environ, report=said.append)
    assert folder == Path(environ["XDG_CACHE_HOME"]) / "knit-provider" / "hadoop" / VERSION / "jars"
    assert len(list(folder.glob("*.jar"))) == 5
    assert len(said) == 1
    assert hadoop_jars(VERSION, environ=environ) == folder
    assert calls(environ) == 1
    assert [path.name for path in folder.parent.parent.iterdir() if path.is_dir()] == [VERSION]


@pytest.mark.parametrize("damage", ["a jar is gone", "a jar is short", "no manifest", "manifest is no JSON"])
def test_a_damaged_cache_is_made_anew(environ: dict[str, str], damage: str) -> None:
    folder = hadoop_jars(VERSION, environ=environ)
    jar = next(folder.glob("*.jar"))
    if damage == "a jar is gone":
        jar.unlink()
    elif damage == "a jar is short":
        jar.write_text("")
    elif damage == "no manifest":
        (folder.parent / "manifest.json").unlink()
    else:
        (folder.parent / "manifest.json").write_text("{")
    assert not is_complete(folder.parent)
    hadoop_jars(VERSION, environ=environ)
    assert is_complete(folder.parent)
    assert calls(environ) == 2


def test_two_processes_do_not_both_fetch(environ: dict[str, str]) -> None:
    program = f"from knit_provider.localcluster.jars import hadoop_jars; print(hadoop_jars({VERSION!r}))"
    env = {**environ, "SLOW": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE) for _ in range(2)]
    answers = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(answers) == 1
    assert calls(environ) == 1


def test_failure_of_maven_is_told_and_leaves_no_cache(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="exit code 1") as error:
        hadoop_jars(VERSION, environ={**environ, "FAIL": "no route to the repository"})
    assert "no route to the repository" in str(error.value)
    root = cache_root(environ)
    assert not (root / VERSION).exists()
    assert [path for path in root.iterdir() if path.is_dir()] == []


def test_jars_that_maven_leaves_out_are_named(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="hadoop-mapreduce-client-hs-"):
        hadoop_jars(VERSION, environ={**environ, "NAMES": _NAMES.replace("hadoop-mapreduce-client-hs", "")})
    assert not (cache_root(environ) / VERSION).exists()


def test_no_maven(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no Maven \(mvn\) on PATH"):
        hadoop_jars(VERSION, environ={**environ, "PATH": str(tmp_path)})


def test_a_full_disk_is_told_before_anything_is_fetched(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit_provider.localcluster.disk.free_bytes", lambda _: 5 * 2**20)
    with pytest.raises(ConfigurationError, match="needs 400 MiB and 5 MiB are free"):
        hadoop_jars(VERSION, environ=environ)
    assert calls(environ) == 0


def test_a_cache_that_cannot_be_made_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file/knit-provider"):
        hadoop_jars(VERSION, environ={**environ, "XDG_CACHE_HOME": str(tmp_path / "file")})


def test_unknown_version() -> None:
    with pytest.raises(ConfigurationError, match=r"'2\.7\.1' is not one of 3\.5\.0, 3\.3\.6"):
        hadoop_jars("2.7.1")


def test_the_manifest_lists_sizes(environ: dict[str, str]) -> None:
    folder = hadoop_jars(VERSION, environ=environ)
    manifest = json.loads((folder.parent / "manifest.json").read_text())
    assert manifest["version"] == VERSION
    assert set(manifest["jars"].values()) == {4}


def test_cache_is_below_home_by_default() -> None:
    assert jars.cache_root({"HOME": "/home/x"}) == Path("/home/x/.cache/knit-provider/hadoop")
