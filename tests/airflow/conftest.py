"""A real Airflow beside the real Hadoop, started when the first test asks for it and once for the session."""

# ruff: noqa: E402 - Airflow reads the environment when it is first imported

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scratch import set_home

# A fixture would come too late.
set_home("AIRFLOW_HOME")

pytest.importorskip("airflow.sdk")

from devtools.airflow_server import AirflowServer
from devtools.yarn_connection import USER
from devtools.yarn_connection import yarn_connection as described
from knit_provider import Knit
from knit_provider.localcluster import LocalCluster

ROOT = Path(__file__).resolve().parents[2]
Trigger = Callable[..., str]
Applications = Callable[..., list[dict[str, Any]]]

ALIVE = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs Airflow and a real cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.airflow)


@pytest.fixture(scope="session")
def yarn_connection(cluster: LocalCluster) -> dict[str, Any]:
    """The cluster as an Airflow connection."""
    return described(cluster, USER)


@pytest.fixture(scope="session")
def airflow(
    cluster: LocalCluster, yarn_connection: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowServer]:
    """A running Airflow with the example DAGs and those of the tests; pytest keeps its logs for a while."""
    server = AirflowServer(
        tmp_path_factory.mktemp("airflow"),
        {"examples": ROOT / "example_dags", "tests": Path(__file__).parent / "dags"},
        connections={"yarn_default": yarn_connection},
        environment=cluster.env(),
        # A triggerer that died is noticed in seconds, as is a deferral that nobody looks after.
        settings={
            "triggerer.job_heartbeat_sec": "2",
            "triggerer.triggerer_health_check_threshold": "8",
            "scheduler.trigger_timeout_check_interval": "2",
        },
    )
    with server:
        yield server


@pytest.fixture
def knit(cluster: LocalCluster) -> Iterator[Knit]:
    """Looks at the cluster from outside, as the user whom the tasks run as."""
    with Knit(user=USER, hadoop_conf_dir=str(cluster.conf_dir), hadoop_home=str(cluster.hadoop_home)) as made:
        yield made


@pytest.fixture
def applications(knit: Knit) -> Iterator[Applications]:
    """Applications by name, of all states or of some; what a failed test leaves of them is killed."""
    names = set()

    def find(name: str, *states: str) -> list[dict[str, Any]]:
        names.add(name)
        return [a for a in knit.yarn_api.find(states=states or None) if a["name"] == name]

    yield find
    for app in knit.yarn_api.find(user=USER):
        if app["name"] in names:
            if app["state"] in ALIVE:
                knit.kill(app["id"])
            # Whoever sees the end of a killed application removes its staging folder.
            knit.status(app["id"])


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that containers wait for: they run on this machine."""
    tmp_path.chmod(0o755)
    return tmp_path / "gate"


@pytest.fixture
def run_of(airflow: AirflowServer) -> Iterator[Trigger]:
    """Trigger a DAG; a run that is still alive at the test's end is ended."""
    runs: list[tuple[str, str]] = []

    def trigger(dag_id: str, **conf: Any) -> str:
        airflow.api.wait_for_dag(dag_id)
        run_id = airflow.api.trigger(dag_id, conf)
        runs.append((dag_id, run_id))
        return run_id

    yield trigger
    for dag_id, run_id in runs:
        for name, task in airflow.api.tasks(dag_id, run_id).items():
            if task["state"] in ("running", "up_for_retry", "queued", "deferred"):
                airflow.api.set_task_state(dag_id, run_id, name, "failed")


def until(what: Callable[[], Any], *, seconds: float = 120) -> Any:
    """The first true value that ``what`` gives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s")
