"""Bad input: said at once, with the way out, and nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client

from knit_provider import DaskYARNCluster
from knit_provider.dask import node
from knit_provider.dask.settings import read_settings
from knit_provider.yarn.errors import CheckFailed, ConfigurationError, KnitError, SubmissionRejected
from tests.hadoop.eventually import eventually


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n_workers": -1}, "n_workers"),
        ({"n_workers": 1, "nworkers": 1}, "nworkers"),
        ({"memory": "lots"}, "lots"),
        ({"cpus": 0}, "cpus"),
        ({"deploy_mode": "cloud"}, "local, remote"),
        ({"worker_memory": "1 GiB"}, "it is memory here"),
        ({"environment": "x"}, "it is env here"),
        ({"worker_option": {}}, "worker_options"),
        ({"hadoop_conf_dri": "x"}, "hadoop_conf_dir"),
        ({"env": "/no/env.tar.gz", "n_workers": 1}, r"/no/env\.tar\.gz"),
        ({"env": "x", "packages": ["dask"]}, "both"),
        ({"channels": ["x"]}, "packages"),
        ({"security": "tls"}, "Security"),
        ({"worker_options": {"resources": object()}, "n_workers": 1}, "JSON"),
        ({"n_workers": 1, "memory": "1 TiB"}, "allocation|maximum"),
        ({"n_workers": 1, "queue": "stopped"}, "stopped"),
        ({"n_workers": 1, "queue": "nosuch"}, "nosuch"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_bad_argument(make: Callable[..., DaskYARNCluster], arguments: dict[str, Any], word: str) -> None:
    env = {} if "env" in arguments or "packages" not in arguments else {"env": None}
    with pytest.raises((ConfigurationError, CheckFailed, SubmissionRejected), match=f"(?i){word}"):
        make(**{**arguments, **env})


def test_a_mapping_as_env(make: Callable[..., DaskYARNCluster]) -> None:
    with pytest.raises(TypeError, match="worker_env"):
        make(env={"A": "b"})


def test_an_environment_without_distributed(make: Callable[..., DaskYARNCluster], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True, timeout=120)
    tmp_path.chmod(0o755)
    bare = make(n_workers=1, env=f"python://{tmp_path}/bare/bin/python")
    with pytest.raises(KnitError, match=f"{tmp_path}/bare/bin/python .*No module named.*env="):
        bare.wait_for_workers(1, timeout=120)


HELPERS = """
from distributed import Worker
class Own(Worker):
    prepared = None
def dask_setup(worker):
    worker.prepared = "before anything else"
"""


def test_other_versions_are_said_and_options_arrive(
    make: Callable[..., DaskYARNCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "helpers.py").write_text(HELPERS)
    ours = node.versions()
    monkeypatch.setattr(node, "versions", lambda: {**ours, "msgpack": "0.1"})
    odd = make(
        n_workers=1,
        nanny=False,
        security=False,
        worker_env={"GREETING": 'say "$HOME"'},
        worker_class="helpers.Own",
        worker_options={"resources": {"LICENCE": 2}, "preload": ["helpers"]},
        files=[str(tmp_path / "helpers.py")],
        lang="C.UTF-8",
    )
    odd.wait_for_workers(1, timeout=120)
    with Client(odd) as client:
        assert client.submit(os.getenv, "GREETING", resources={"LICENCE": 1}).result(60) == 'say "$HOME"'
        said = client.run(lambda dask_worker: (type(dask_worker).__name__, dask_worker.prepared))
        assert list(said.values()) == [("Own", "before anything else")]
        assert odd.scheduler_address.startswith("tcp://")
    eventually(lambda: f"msgpack {ours['msgpack']} (client: 0.1)" in str(odd.get_logs()["Cluster"]))


class TestSettings:
    def test_dasks_configuration_is_read(self) -> None:
        with dask.config.set({"yarn.worker.memory": "3 GiB", "yarn.worker.gpus": 1, "yarn.user": "bob"}):
            settings, for_knit = read_settings({"cpus": 2})
        assert (settings.memory, settings.cpus, settings.resources.gpus) == (3072, 2, 1)
        assert for_knit == {"user": "bob"}
        assert settings.n_workers is None

    @pytest.mark.parametrize(
        ("memory", "nanny", "limit"), [(10240, True, 9216), (1024, True, 832), (1024, False, 922), (256, True, 128)]
    )
    def test_the_limit_leaves_room(self, memory: int, nanny: bool, limit: int) -> None:
        settings, _ = read_settings({"memory": memory, "nanny": nanny})
        assert settings.memory_limit == limit * 2**20

    def test_no_lifetime_is_a_lifetime(self) -> None:
        assert read_settings({"lifetime": None})[0].lifetime is None
        assert read_settings({})[0].lifetime == "7 d"
