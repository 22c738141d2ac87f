"""A Dask cluster for the tasks between its start and its stop: without an Airflow around them, and in runs of DAGs."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from distributed import Client

from devtools.airflow_server import AirflowServer
from knit_provider import DaskYARNCluster, Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.operators.dask import DaskYARNClusterStartOperator, DaskYARNClusterStopOperator
from tests.airflow.conftest import ALIVE, USER, Trigger

HERE = f"python://{sys.executable}"


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster, yarn_connection: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps(yarn_connection))
    monkeypatch.setenv("HADOOP_HOME", str(cluster.hadoop_home))


class Store(dict[str, Any]):
    """The two methods of Airflow's task state store that are used."""

    set = dict.__setitem__


@pytest.mark.usefixtures("connection")
def test_a_cluster_from_start_to_stop(knit: Knit) -> None:
    store = Store()
    start = DaskYARNClusterStartOperator(task_id="start", n_workers="1", memory=512, env=HERE, wait_for_workers=1)
    app_id = start.execute({"task_state_store": store})
    assert knit.status(app_id)["name"] == "start"
    assert start.execute({"task_state_store": store}) == app_id, "a later try goes on with the same cluster"
    with DaskYARNCluster.from_application_id(app_id, knit=knit) as found, Client(found) as client:
        assert client.submit(pow, 2, 10).result(60) == 1024
    stop = DaskYARNClusterStopOperator(task_id="stop", app_id=app_id)
    assert stop.execute({}) == "SUCCEEDED"
    assert stop.execute({}) == "SUCCEEDED"
    with pytest.raises(AirflowFailException, match="application_1_0001"):
        DaskYARNClusterStopOperator(task_id="stop", app_id="application_1_0001").execute({})
    with pytest.raises(AirflowFailException, match="lots"):
        DaskYARNClusterStartOperator(task_id="start", memory="lots").execute({})


def test_setup_and_teardown_end_the_cluster_also_where_a_task_between_fails(
    airflow: AirflowServer, run_of: Trigger, knit: Knit
) -> None:
    failing = run_of("dask_cluster", env=HERE, fail=True)
    in_one_task = run_of("dask_in_one_task", env=HERE)
    total = sum(n * n for n in range(100))
    assert airflow.api.wait_for_run("dask_in_one_task", in_one_task) == "success"
    assert airflow.api.xcom("dask_in_one_task", in_one_task, "compute") == total
    assert airflow.api.wait_for_run("dask_cluster", failing) == "failed"
    log = airflow.api.log("dask_cluster", failing, "compute")
    assert f"the squares add up to {total}" in log
    assert "asked to fail" in log
    tasks = airflow.api.tasks("dask_cluster", failing)
    states = {name: task["state"] for name, task in tasks.items()}
    assert states == {"start": "success", "compute": "failed", "stop": "success"}, log
    assert airflow.api.xcom("dask_cluster", failing, "stop") == "SUCCEEDED"
    report = knit.status(airflow.api.xcom("dask_cluster", failing, "start"))
    assert (report["state"], report["name"]) == ("FINISHED", "dask_cluster.start")
    assert any(tag.startswith("airflow-task-") for tag in report["applicationTags"].split(","))
    assert not knit.yarn_api.find(tags=["dask"], user=USER, states=ALIVE)
