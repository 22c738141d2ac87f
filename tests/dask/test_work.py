"""A cluster at work: real data, more and fewer workers, and what each of them shows."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
import pandas as pd
import pytest
from distributed import Client
from distributed.security import Security

from knit_provider import DaskYARNCluster
from knit_provider.yarn.errors import ConfigurationError, KnitError, WaitTimeout
from tests.dask.conftest import are
from tests.hadoop.eventually import eventually


def test_an_array_is_shuffled_between_workers(client: Client) -> None:
    tall = da.ones((4000, 4000), chunks=(4000, 800)).rechunk((800, 4000))  # 128 MB, every block from every block
    assert (tall + tall.T).sum().compute() == 2 * 4000 * 4000


def test_a_dataframe_of_this_machines_files(client: Client) -> None:
    library = Path(pd.__file__).parent
    rows = [(path.suffix, path.stat().st_size) for path in sorted(library.rglob("*.py*"))]
    local = pd.DataFrame(rows, columns=["suffix", "size"])
    frame = dd.from_pandas(local, npartitions=8).shuffle("suffix")
    found = frame.groupby("suffix")["size"].sum().compute().to_dict()
    assert found == local.groupby("suffix")["size"].sum().to_dict()


def noted(folder: str, i: int) -> int:
    Path(folder, f"{i}-{uuid.uuid4().hex}").touch()
    return i * i


def test_fewer_workers_lose_no_result(shared: DaskYARNCluster, client: Client, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    futures = client.map(noted, [str(tmp_path)] * 20, range(20))
    distributed.wait(futures)
    first = set(shared.worker_containers)
    assert len(first) == 2
    shared.scale(1)
    are(shared, 1)
    assert client.gather(futures) == [i * i for i in range(20)]
    assert len(list(tmp_path.iterdir())) == 20, "something was computed twice"
    shared.scale(2)
    are(shared, 2)
    assert len(first & set(shared.worker_containers)) == 1
    names = set(shared.worker_spec)
    shared.remove_worker(shared.worker_containers[-1])
    are(shared, 1)
    shared.add_workers(1)
    are(shared, 2)
    assert len(names & set(shared.worker_spec)) == 1, "a name is not used twice"
    with pytest.raises(KnitError, match="no worker 77"):
        shared.remove_worker(77)
    with pytest.raises(ConfigurationError, match="alike"):
        shared.add_workers(1, memory=2048)


def test_adaptive_down_to_zero_and_back(shared: DaskYARNCluster, client: Client) -> None:
    shared.adapt(minimum=0, maximum=2, interval="200 ms", wait_count=2)
    try:
        are(shared, 0)
        assert sum(client.gather(client.map(lambda x: x + 1, range(50)))) == 1275
        assert len(shared.observed) >= 1
    finally:
        shared._adaptive.stop()


def test_whoever_lacks_the_key_is_refused(shared: DaskYARNCluster, client: Client) -> None:
    assert shared.scheduler_address.startswith("tls://")
    for address, security in (
        (shared.scheduler_address.replace("tls://", "tcp://"), None),
        (shared.scheduler_address, Security.temporary()),
    ):
        with pytest.raises((OSError, TimeoutError)):
            Client(address, security=security, timeout=5)
    for worker in client.scheduler_info()["workers"]:
        assert worker.startswith("tls://")


def test_what_it_shows(shared: DaskYARNCluster, client: Client) -> None:
    app_id = shared.app_id
    assert app_id is not None
    assert app_id in shared._repr_html_()
    assert app_id in shared._scaling_status()
    assert shared.dashboard_link.startswith("http")
    assert shared.local_cluster.scheduler_address == shared.scheduler_address
    assert shared.knit.status()["name"] == "shared"
    limits = {w["memory_limit"] for w in client.scheduler_info()["workers"].values()}
    assert limits == {shared.settings.memory_limit}
    for size in ({"cores": 2}, {"memory": 2 * shared.settings.memory_limit}):
        shared.scale(1, **size)
        assert len(shared.worker_spec) == 2
    assert 1280 * 2**20 <= limits.pop() < 1536 * 2**20


def test_the_dashboards_link_is_what_dasks_configuration_says(
    shared: DaskYARNCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for notebooks that reach it through jupyter-server-proxy."""
    direct = shared.dashboard_link
    port = shared.scheduler_info["services"]["dashboard"]
    assert f":{port}/status" in direct
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/")
    with dask.config.set({"distributed.dashboard.link": "{JUPYTERHUB_SERVICE_PREFIX}proxy/{host}:{port}/status"}):
        assert shared.dashboard_link == direct.replace("http://", "/user/alice/proxy/")
        assert shared.dashboard_link in shared._repr_html_()


def test_more_than_the_queue_grants_says_why(shared: DaskYARNCluster, client: Client) -> None:
    """Asked for by the widget's button, as in a notebook."""
    status, scaling = shared._widget().children
    shown, accordion = scaling.children
    number, button = accordion.children[0].children
    number.value = 200
    button.click()
    with pytest.raises(WaitTimeout, match=r"\d+ of 200 workers .*(full|free|granted)"):
        shared.wait_for_workers(200, timeout=8)
    granted = shared.granted
    assert 2 <= granted.granted < granted.wanted == 200
    for text in (status, shown):
        eventually(lambda text=text: f"{granted.granted} of 200 workers have a container" in text.value)
        assert str(shared.app_id) in text.value
    shared.periodic_callbacks.pop("cluster-repr").stop()
    shared.scale(2)
    are(shared, 2)


def test_versions_are_the_clients(client: Client) -> None:
    assert client.get_versions(check=True)["scheduler"]["packages"]["distributed"] == distributed.__version__
    found = set(client.run(lambda: sys.executable).values())
    assert found == {sys.executable}


def test_logs_of_live_and_of_ended_workers(shared: DaskYARNCluster, client: Client) -> None:
    client.run(lambda: print("said on stderr", file=sys.stderr))
    gone = shared.worker_containers[0]
    shared.remove_worker(gone)
    are(shared, 1)
    logs = eventually(lambda: (found := shared.get_logs()) and any(gone in key for key in found) and found)
    assert "said on stderr" in next(str(log) for key, log in logs.items() if gone in key)
    assert "Cluster" in logs
    assert "Scheduler" in logs
