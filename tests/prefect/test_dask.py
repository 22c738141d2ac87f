"""Flows whose tasks run on a ``DaskYARNCluster``, through Prefect's own task runner for Dask."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import pytest

pytest.importorskip("prefect_dask")

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from tests.prefect.conftest import USER
from tests.prefect.test_flows import EXAMPLES, example


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_flows_tasks_run_in_containers(kind: str, cluster: LocalCluster, knit: Knit) -> None:
    flows = example("dask_on_yarn")
    name = f"prefect-{kind}"
    runner = flows.on_yarn(
        name=name,
        env=f"python://{sys.executable}",
        # Workers import what tasks are in.
        files={f"{flows.__name__}.py": str(EXAMPLES / "dask_on_yarn.py")},
        user=USER,
        hadoop_conf_dir=str(cluster.conf_dir),
        hadoop_home=str(cluster.hadoop_home),
        dashboard_address=":0",
    )
    which: Any = flows.sum_of_squares if kind == "sync" else flows.sum_of_squares_later
    found = which.with_options(task_runner=runner)(up_to=10)
    total, containers = asyncio.run(found) if kind == "async" else found
    assert total == sum(n * n for n in range(10))
    (app,) = [a for a in knit.yarn_api.find(tags=["dask"], user=USER) if a["name"] == name]
    assert app["finalStatus"] == "SUCCEEDED"
    number = app["id"].removeprefix("application_")
    assert containers
    # With the ResourceManager's epoch in it, where that was started again.
    assert all(re.match(rf"container_(e\d+_)?{number}_", container) for container in containers), containers
