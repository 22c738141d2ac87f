"""The launcher script of the ApplicationMaster, with a stand-in for Java: which classes and flags it decides for."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from knit_provider.yarn.submission.am_launch import command

LAUNCHER = Path(__file__).parents[2] / "jvm" / "src" / "main" / "launcher" / "knit-am.sh"
JARS = "hadoop-client-api-3.5.0.jar:hadoop-client-runtime-3.5.0.jar:knit.jar"
SECONDS = 1_577_836_800
SHIPPED = {
    "KNIT_AM_SHIPPED": JARS,
    "KNIT_AM_JAVA": "17-",
    "KNIT_AM_JARS_TIME": str(SECONDS),
    "KNIT_AM_ARCHIVE_BYTES": "7",
}


def launch(folder: Path, java: str, **variables: str) -> tuple[list[str], str]:
    """Run the launcher in a container's folder; the words of Java's command line, and what it says itself."""
    home = folder / "java"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (home / "bin" / "java").chmod(0o755)
    if java:
        (home / "release").write_text(f'IMPLEMENTOR="Nobody"\nJAVA_VERSION="{java}"\n')
    container, cluster = folder / "container", folder / "cluster"
    container.mkdir()
    cluster.mkdir()
    (cluster / "hadoop-common-3.3.6.jar").touch()
    (folder / "archive").write_text("archive")
    (container / "knit-am.jsa").symlink_to(folder / "archive")
    for jar in JARS.split(":"):
        (container / jar).touch()
    done = subprocess.run(
        ["bash", str(LAUNCHER)],
        cwd=container,
        env={
            "PATH": os.environ["PATH"],
            "JAVA_HOME": str(home),
            "HADOOP_CONF_DIR": "/conf",
            "KNIT_AM_CLASSPATH": f"{cluster}/*",
            **variables,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr


def class_path(words: list[str]) -> str:
    return words[words.index("-cp") + 1]


def uses_archive(words: list[str]) -> bool:
    return "-XX:SharedArchiveFile=knit-am.jsa" in words


def test_the_cluster_s_classes_are_the_default(tmp_path: Path) -> None:
    words, said = launch(tmp_path, "17.0.1")
    assert class_path(words) == f"/conf:{tmp_path}/container/knit.jar:{tmp_path}/cluster/*"
    assert not uses_archive(words)
    assert not said


def test_java_is_told_where_krb5_conf_is(tmp_path: Path) -> None:
    conf = tmp_path / "krb5 of ours.conf"
    conf.touch()
    (tmp_path / "with").mkdir()
    words, said = launch(tmp_path / "with", "17.0.1", KRB5_CONFIG=f"/no/such/file:{conf}")
    assert f"-Djava.security.krb5.conf={conf}" in words
    assert not said
    (tmp_path / "without").mkdir()
    words, said = launch(tmp_path / "without", "17.0.1", KRB5_CONFIG="/no/such/file")
    assert not [word for word in words if "krb5.conf" in word]
    assert not said


def test_shipped_classes_come_without_folders_and_with_their_times(tmp_path: Path) -> None:
    words, said = launch(tmp_path, "17.0.1", **SHIPPED)
    assert class_path(words) == JARS
    assert uses_archive(words)
    assert "-Dknit.conf.dir=/conf" in words
    assert {(tmp_path / "container" / jar).stat().st_mtime for jar in JARS.split(":")} == {SECONDS}
    assert not said


@pytest.mark.parametrize("java", ["1.8.0_442", "11.0.2", ""])
def test_a_java_that_cannot_run_them_starts_with_the_cluster_s(tmp_path: Path, java: str) -> None:
    words, said = launch(tmp_path, java, **SHIPPED)
    assert f"{tmp_path}/cluster/*" in class_path(words)
    assert not uses_archive(words)
    assert "starting with the cluster's own" in said


@pytest.mark.parametrize(("java", "shipped"), [("1.8.0_442", True), ("23", True), ("24.0.1", False)])
def test_a_range_has_two_ends(tmp_path: Path, java: str, shipped: bool) -> None:
    words, _ = launch(tmp_path, java, **SHIPPED | {"KNIT_AM_JAVA": "8-23"})
    assert (class_path(words) == JARS) is shipped
    # Java 8 has no such archives, and no -Xlog.
    assert uses_archive(words) is (java == "23")
    assert ("-Xlog:disable" in words) is (java == "23")


def test_an_archive_that_is_not_whole_is_not_used(tmp_path: Path) -> None:
    words, said = launch(tmp_path, "17.0.1", **SHIPPED | {"KNIT_AM_ARCHIVE_BYTES": "8"})
    assert class_path(words) == JARS
    assert not uses_archive(words)
    assert not said


@pytest.mark.parametrize("exchanged", [False, True])
def test_exchanged_files_start_nothing(tmp_path: Path, exchanged: bool) -> None:
    """As a NodeManager runs it: within double quotes, with ``<LOG_DIR>`` replaced."""
    (tmp_path / "knit-am.sh").write_text("echo started\n")
    (tmp_path / "knit.jar").write_text("jar")
    digests = {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("knit-am.sh", "knit.jar")}
    if exchanged:
        (tmp_path / "knit.jar").write_text("JAR")
    text = command(digests).replace("<LOG_DIR>", str(tmp_path))
    assert '"' not in text
    assert "$" not in text
    done = subprocess.run(["bash", "-c", f'exec /bin/bash -c "{text}"'], cwd=tmp_path, check=False)
    assert done.returncode == exchanged
    assert (tmp_path / "stdout").read_text() == ("knit.jar: FAILED\n" if exchanged else "started\n")
