"""The example DAGs, as the documentation shows them; their runs go side by side."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from devtools.airflow_server import AirflowServer
from knit_provider import Knit
from tests.airflow.conftest import until

CONF: dict[str, dict[str, Any]] = {
    # The containers run on this machine.
    "python_in_a_container": {"limit": 600, "env": f"python://{sys.executable}"},
    "mapped_jobs": {},
    "starts_a_job": {},
    "kill_on_failure": {"fail": True},
    "deferrable_job": {"seconds": 2},
}


@pytest.fixture(scope="module")
def runs(airflow: AirflowServer) -> dict[str, str]:
    """The run id of each example."""
    for dag_id in (*CONF, "follows_a_job"):
        airflow.api.wait_for_dag(dag_id)
    return {dag_id: airflow.api.trigger(dag_id, conf) for dag_id, conf in CONF.items()}


def ended(airflow: AirflowServer, dag_id: str, run_id: str) -> str:
    """The run's state at its end; the logs of what failed are shown where a test fails."""
    state = airflow.api.wait_for_run(dag_id, run_id)
    for name, task in airflow.api.tasks(dag_id, run_id).items():
        if task["state"] == "failed" and task["map_index"] == -1:
            print(f"--- {dag_id}.{name}\n{airflow.api.log(dag_id, run_id, name, task['try_number'])}")
    return state


def test_a_deferrable_job(airflow: AirflowServer, runs: dict[str, str]) -> None:
    run_id = runs["deferrable_job"]
    assert ended(airflow, "deferrable_job", run_id) == "success"
    assert airflow.api.log("deferrable_job", run_id, "long_job").count("second 2") == 1


def test_functions_in_containers(airflow: AirflowServer, runs: dict[str, str]) -> None:
    run_id = runs["python_in_a_container"]
    assert ended(airflow, "python_in_a_container", run_id) == "success"
    assert airflow.api.xcom("python_in_a_container", run_id, "summary") == {"count": 109, "largest": 599}
    assert airflow.api.xcom("python_in_a_container", run_id, "summary", "largest") == 599
    assert "109 primes, the largest is 599" in airflow.api.log("python_in_a_container", run_id, "report")


def test_mapped_jobs(airflow: AirflowServer, runs: dict[str, str]) -> None:
    assert ended(airflow, "mapped_jobs", runs["mapped_jobs"]) == "success"
    assert airflow.api.xcom("mapped_jobs", runs["mapped_jobs"], "total") == 6 + 7 + 6


def test_a_dag_that_follows_anothers_job(airflow: AirflowServer, runs: dict[str, str]) -> None:
    assert ended(airflow, "starts_a_job", runs["starts_a_job"]) == "success"
    (run_id,) = until(lambda: airflow.api.run_ids("follows_a_job"))
    assert ended(airflow, "follows_a_job", run_id) == "success"
    assert airflow.api.xcom("follows_a_job", run_id, "succeeded") == "SUCCEEDED"
    assert airflow.api.xcom("follows_a_job", run_id, "wait") == "SUCCEEDED"
    for name in ("wait", "logs"):
        assert airflow.api.log("follows_a_job", run_id, name).count("done") >= 1


def test_what_failed_leaves_nothing_running(airflow: AirflowServer, runs: dict[str, str], knit: Knit) -> None:
    run_id = runs["kill_on_failure"]
    assert ended(airflow, "kill_on_failure", run_id) == "failed"
    assert airflow.api.xcom("kill_on_failure", run_id, "end") is True
    app_id = airflow.api.xcom("kill_on_failure", run_id, "service")
    assert knit.runtime_status(app_id) == "KILLED"
