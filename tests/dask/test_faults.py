"""kill -9 of everything once: numbers of workers and results are exact afterwards, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from distributed import Client

from knit_provider import DaskYARNCluster, Knit
from knit_provider.localcluster import LocalCluster
from tests.dask.conftest import HERE, are
from tests.hadoop.eventually import eventually
from tests.hadoop.test_services import master_process


def slowly(i: int) -> int:
    import time

    time.sleep(0.2)
    return i * i


def total(client: Client, count: int = 60) -> Any:
    return client.submit(sum, client.map(slowly, range(count), pure=False))


def expected(count: int = 60) -> int:
    return sum(i * i for i in range(count))


def test_a_killed_worker_is_replaced(shared: DaskYARNCluster, client: Client) -> None:
    before = set(shared.worker_containers)
    future = total(client)
    victim = next(iter(client.run(os.getppid).values()))  # the nanny, which is the container's own process
    os.kill(victim, signal.SIGKILL)
    assert future.result(180) == expected()
    eventually(lambda: len(before & set(shared.worker_containers)) == 1)
    are(shared, 2)
    assert set(shared.worker_spec) == shared.observed


def test_a_killed_application_master_is_replaced_beside_the_workers(shared: DaskYARNCluster, client: Client) -> None:
    before = sorted(shared.worker_containers)
    store = shared.application.kv
    store.set("test/kept", "through it all")
    future = total(client)
    os.kill(master_process(shared.app_id or "").pid, signal.SIGKILL)
    assert future.result(180) == expected()
    eventually(lambda: shared.application.control().status()["attempt"] == 2)
    are(shared, 2)
    assert sorted(shared.worker_containers) == before
    assert store.get("test/kept") == "through it all"
    shared.scale(3)
    are(shared, 3)
    shared.scale(2)
    are(shared, 2)


def test_workers_of_a_killed_node_are_replaced(make: Callable[..., DaskYARNCluster], cluster: LocalCluster) -> None:
    dask = make(n_workers=3, nanny=False)
    dask.wait_for_workers(3, timeout=180)
    containers = [c for c in dask.application.containers() if c["service"] == "dask.worker"]
    master = dask.application.report().raw["amHostHttpAddress"]
    there = {c["node_http"]: c["node"] for c in containers if c["node_http"] != master} or {
        c["node_http"]: c["node"] for c in containers
    }
    port = next(iter(there.values())).rpartition(":")[2]
    name, daemon = next(
        (n, d) for n, d in cluster.daemons.items() if any(a.endswith(f":{port}") for a in d.addresses.values())
    )
    lost = {c["id"] for c in containers if c["node"].endswith(f":{port}")}
    assert name.startswith("nodemanager")
    assert lost
    try:
        with Client(dask) as client:
            future = total(client)
            daemon.kill(signal.SIGKILL)
            assert future.result(300) == expected()
            eventually(lambda: not lost & set(dask.worker_containers), seconds=180)
            are(dask, 3)
            assert set(dask.worker_spec) == dask.observed
            assert total(client).result(180) == expected()
    finally:
        daemon.start()
        cluster.wait_ready()


OWNER = """
import sys, time
from knit_provider import DaskYARNCluster
if __name__ == "__main__":
    cluster = DaskYARNCluster(n_workers=1, memory=512, env=sys.argv[3], user="alice", hadoop_conf_dir=sys.argv[1],
                              hadoop_home=sys.argv[2], lease_seconds=12, dashboard_address=":0", nanny=False)
    cluster.wait_for_workers(1, timeout=180)
    print(cluster.app_id, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL])
def test_a_killed_client_leaves_no_application(cluster: LocalCluster, signum: int) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(cluster.conf_dir), str(cluster.hadoop_home), HERE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert owner.stdout is not None
        app_id = owner.stdout.readline().strip()
    finally:
        owner.send_signal(signum)
        owner.wait()
    with Knit(user="alice", hadoop_conf_dir=str(cluster.conf_dir)) as knit:
        report = knit.attach(app_id).wait_for_end(120)
    assert report.killed
    assert "lease" in report.diagnostics
    eventually(lambda: not [p for p in psutil.process_iter(["cmdline"]) if app_id in " ".join(p.info["cmdline"] or [])])
