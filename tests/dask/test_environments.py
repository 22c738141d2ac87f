"""Where the workers' environment comes from: packages of a channel, and the wheel in an environment of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import distributed
import pytest
from distributed import Client

from knit_provider import DaskYARNCluster
from knit_provider.localcluster import LocalCluster
from tests.channels import installed_packages, write_channel
from tests.unit.packaging.test_wheel import run, uv, wheel  # noqa: F401 - fixtures


def test_packages_of_a_channel_become_the_workers_environment(
    make: Callable[..., DaskYARNCluster], conda_channel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    channel = write_channel(tmp_path / "channel", installed_packages("distributed"))
    built = make(
        n_workers=1,
        nanny=False,
        env=None,
        name="built-of-packages",
        packages=[f"distributed={distributed.__version__}"],
        channels=[channel, conda_channel],
    )
    built.wait_for_workers(1, timeout=300)
    with Client(built) as client:
        ((prefix, version),) = client.run(lambda: (sys.prefix, __import__("distributed").__version__)).values()
    assert version == distributed.__version__
    assert prefix not in (sys.prefix, sys.base_prefix)
    assert str(built.app_id) in prefix or "filecache" in prefix, "it came with the application"


USE = """
import json, sys
import knit_provider
from distributed import Client
if __name__ == "__main__":
    with knit_provider.DaskYARNCluster(
        n_workers=1, memory=512, user="alice", env=f"python://{sys.executable}", nanny=False,
        hadoop_conf_dir=sys.argv[1], hadoop_home=sys.argv[2], dashboard_address=":0",
    ) as cluster, Client(cluster) as client:
        cluster.wait_for_workers(1, timeout=180)
        (prefix,) = client.run(lambda: sys.prefix).values()
        app = cluster.application
    print(json.dumps([knit_provider.__file__, prefix, app.report().final_status]))
"""


@pytest.mark.timeout(300)
def test_the_wheel_with_its_extra_runs_a_cluster(uv: str, wheel: Path, tmp_path: Path, cluster: LocalCluster) -> None:  # noqa: F811
    tmp_path.chmod(0o755)
    prefix = tmp_path / "venv"
    run(uv, "venv", "--quiet", "--python", sys.executable, prefix, cwd=tmp_path)
    run(uv, "pip", "install", "--quiet", "--python", prefix / "bin" / "python", f"{wheel}[dask]", cwd=tmp_path)
    assert "scale" in run(prefix / "bin" / "knit", "dask", "--help", cwd=tmp_path)
    said = run(prefix / "bin" / "python", "-c", USE, cluster.conf_dir, cluster.hadoop_home, cwd=tmp_path)
    package, there, status = json.loads(said.splitlines()[-1])
    assert Path(package).is_relative_to(prefix)
    assert Path(there) == prefix
    assert status == "SUCCEEDED"
