"""Hadoop's servers that are no part of the embedded cluster, started beside it in the cluster's realm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import requests

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.gateway.maven import Artifact, cache_lock, fetch_one, find_maven
from knit_provider.yarn.user_cache import cache_folder
from tests.hadoop.eventually import eventually


def write_site(path: Path, settings: Mapping[str, str]) -> None:
    """A file of Hadoop properties."""
    body = "".join(f"<property><name>{k}</name><value>{escape(v)}</value></property>" for k, v in settings.items())
    path.write_text(f"<configuration>{body}</configuration>")


@contextmanager
def running(
    cluster: LocalCluster,
    folder: Path,
    main: str,
    artifacts: Sequence[Artifact],
    properties: Mapping[str, str],
    answers_401: str,
) -> Iterator[None]:
    """Runs a server until the end of the block.

    Args:
        cluster: whose classes and realm it has.
        folder: its conf folder, where its log goes too.
        main: its class.
        artifacts: what it has beyond the other daemons' jars; the first one says whose they are.
        properties: of its JVM.
        answers_401: URL where it turns strangers away once it is up.
    """
    defines = {
        "java.security.krb5.conf": str(cluster.realm.krb5_conf), "hadoop.log.dir": str(folder), **properties
    }  # fmt: skip
    command = [
        f"{cluster.env()['JAVA_HOME']}/bin/java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
        *(f"-D{key}={value}" for key, value in defines.items()),
        "-cp", f"{folder}:{_jars(artifacts)}/*:{cluster.plan.layout.jars}/*", main,
    ]  # fmt: skip
    log = folder / "out"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={"HADOOP_KEYSTORE_PASSWORD": "none", "PATH": os.environ["PATH"]}, stdout=out, stderr=out
        )

    def serves() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            return requests.get(answers_401, timeout=10).status_code == 401
        except requests.RequestException:
            return False

    try:
        eventually(serves, seconds=60)
        yield
    finally:
        process.kill()
        process.wait()


def _jars(artifacts: Sequence[Artifact]) -> Path:
    folder = cache_folder(os.environ, "hadoop") / artifacts[0].file.removesuffix(".jar")
    folder.mkdir(parents=True, exist_ok=True)
    with cache_lock(folder / "lock"):
        for artifact in artifacts:
            if not (folder / artifact.file).is_file():
                maven = find_maven(os.environ, f"{artifact.file} is", folder)
                fetch_one(maven, artifact, folder, folder / "log", os.environ)
    return folder
