"""A Dask cluster for the tasks between its start and its stop, without an Airflow around them."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from distributed import Client

from knit_provider import DaskYARNCluster, Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.operators.dask import DaskYARNClusterStartOperator, DaskYARNClusterStopOperator


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster, yarn_connection: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps(yarn_connection))
    monkeypatch.setenv("HADOOP_HOME", str(cluster.hadoop_home))


class Store(dict[str, Any]):
    """The two methods of Airflow's task state store that are used."""

    set = dict.__setitem__


def test_a_cluster_from_start_to_stop(knit: Knit) -> None:
    store = Store()
    start = DaskYARNClusterStartOperator(
        task_id="start", n_workers="1", memory=512, env=f"python://{sys.executable}", wait_for_workers=1
    )
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
