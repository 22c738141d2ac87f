"""A scheduler in a container: begun by one process, gone on with by another, ended by a third."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from distributed import Client

from knit_provider import DaskYARNCluster, Knit
from knit_provider.cli.main import main
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ApplicationNotFound, ConfigurationError
from tests.dask.conftest import HERE, are, defaults


def run(cluster: LocalCluster, *words: str) -> str:
    where = ["--conf-dir", str(cluster.conf_dir), "--user", "alice"]
    done = CliRunner().invoke(main, ["dask", words[0], *where, *words[1:]])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_cluster_lives_on_without_whoever_started_it(cluster: LocalCluster) -> None:
    name = "lives-on"
    started = run(cluster, "submit", "-n", "1", "--memory", "512", "--env", HERE, "--name", name, "--json")
    app_id = json.loads(started)["id"]
    knit = Knit(user="alice", hadoop_conf_dir=str(cluster.conf_dir))
    try:
        assert app_id in run(cluster, "list")
        with DaskYARNCluster.from_name(name, knit=knit) as found, Client(found) as client:
            assert found.app_id == app_id
            found.wait_for_workers(1, timeout=180)
            kept = client.submit(pow, 7, 2, key="kept")
            assert kept.result(60) == 49
            client.publish_dataset(kept=kept)
        assert "2 workers" in run(cluster, "scale", app_id, "2")
        with DaskYARNCluster.from_application_id(app_id, knit=knit) as again, Client(again) as client:
            are(again, 2)
            assert client.get_dataset("kept").result(60) == 49
            assert again.dashboard_link.startswith("http")
            again.scale(1)
            are(again, 1)
            assert client.get_dataset("kept").result(60) == 49
        assert knit.runtime_status(app_id) == "RUNNING"
        assert json.loads(run(cluster, "kill", app_id, "--json")) == {"id": app_id, "killed": True, "state": "FINISHED"}
        assert knit.application(app_id).report().terminal
        with pytest.raises(ApplicationNotFound, match=name):
            DaskYARNCluster.from_name(name, knit=knit)
        assert any("distributed" in str(files) for files in json.loads(run(cluster, "logs", app_id, "--json")).values())
    finally:
        knit.kill(app_id)
        knit.close()


def test_idling_ends_it(make: Callable[..., DaskYARNCluster]) -> None:
    remote = make(deploy_mode="remote", n_workers=0, idle_timeout="15 s")
    assert remote.application.wait(120).succeeded


def test_a_local_cluster_is_its_process_own(shared: DaskYARNCluster, cluster: LocalCluster) -> None:
    with pytest.raises(ConfigurationError, match="remote"):
        DaskYARNCluster.from_application_id(shared.app_id or "", knit=shared.knit)
    with pytest.raises(ConfigurationError, match="remote"):
        shared.disconnect()


async def async_life(cluster: LocalCluster) -> None:
    async with DaskYARNCluster(asynchronous=True, nanny=False, **defaults(cluster)) as dask:
        await dask.start(n_workers=1, cpus=2, memory=400)
        async with Client(dask, asynchronous=True) as client:
            assert await client.submit(sum, [1, 2, 3]) == 6
            (worker,) = dask.scheduler_info["workers"].values()
            assert worker["nthreads"] == 2
        app = dask.application
    # As Prefect does it: the synchronous class inside of a running loop.
    with DaskYARNCluster(**defaults(cluster)) as inside:
        assert inside.app_id is None
        assert inside.scheduler_address.startswith("tls://")
    assert app.report().succeeded


def test_async(cluster: LocalCluster) -> None:
    import asyncio

    asyncio.run(async_life(cluster))
