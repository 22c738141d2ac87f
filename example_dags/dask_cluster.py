"""A Dask cluster for the tasks between its start and its end, and one that a single task makes for itself.

The environment has to hold ``distributed`` and no more; the workers of Airflow need ``knit-provider[airflow,dask]``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.dask import DaskYARNClusterStartOperator, DaskYARNClusterStopOperator

ENV = "hdfs:///envs/dask.tar.gz"


@dag(schedule=None, tags=["knit", "example"], params={"env": ENV, "fail": False}, doc_md=__doc__)
def dask_cluster() -> None:
    start = DaskYARNClusterStartOperator(
        task_id="start",
        n_workers=2,
        memory="1 GiB",
        env="{{ params.env }}",
        # Should nobody be left to end it.
        idle_timeout="1 h",
        lifetime="6 h",
        cluster_options={"scheduler_memory": "1 GiB", "nanny": False},
    )

    @task
    def compute(app_id: str, params: dict[str, Any]) -> int:
        from distributed import Client

        from knit_provider import DaskYARNCluster

        # Inside the task: workers cannot import the DAG's file.
        def square(number: int) -> int:
            return number * number

        with (
            KnitHook().get_conn() as knit,
            DaskYARNCluster.from_application_id(app_id, knit=knit) as cluster,
            Client(cluster) as client,
        ):
            total: int = client.submit(sum, client.map(square, range(100))).result()
        print(f"the squares add up to {total}")
        if params["fail"]:
            raise ValueError("asked to fail")
        return total

    stop = DaskYARNClusterStopOperator(task_id="stop", app_id=start.output)
    # As setup and teardown: the cluster ends also where compute fails, and that still fails the run.
    start.as_setup() >> compute(start.output) >> stop.as_teardown(setups=start)


@dag(schedule=None, tags=["knit", "example"], params={"env": ENV})
def dask_in_one_task() -> None:
    @task
    def compute(params: dict[str, Any]) -> int:
        from distributed import Client

        from knit_provider import DaskYARNCluster

        # The cluster ends with the block and, should the worker die, with its lease.
        with (
            KnitHook().get_conn() as knit,
            DaskYARNCluster(knit=knit, n_workers=1, memory="1 GiB", env=params["env"]) as cluster,
            Client(cluster) as client,
        ):
            total: int = client.submit(sum, client.map(lambda number: number * number, range(100))).result()
            return total

    compute()


dask_cluster()
dask_in_one_task()
