"""Deferred tasks in a real Airflow: one application whatever happens, or none."""

from __future__ import annotations

from pathlib import Path

from devtools.airflow_server import AirflowServer
from knit_provider import Knit
from tests.airflow.conftest import ALIVE, Applications, Trigger, until


def deferred_and_running(
    airflow: AirflowServer, applications: Applications, dag_id: str, run_id: str
) -> dict[str, object]:
    """The one application of a run, once it runs and its task waits in the triggerer."""
    until(lambda: airflow.api.task(dag_id, run_id, "job")["state"] == "deferred")
    (app,) = until(lambda: applications(f"{dag_id}-{run_id}", "RUNNING"))
    return app


def test_a_triggerer_that_dies_is_not_noticed_by_the_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications, gate: Path, knit: Knit
) -> None:
    run_id = run_of("deferred", gate=str(gate))
    app = deferred_and_running(airflow, applications, "deferred", run_id)
    # The button in the UI is there while it runs.
    link = airflow.api.xcom("deferred", run_id, "job", "_link_YarnApplicationLink")
    assert link.endswith(f"/cluster/app/{app['id']}")
    # Whatever dies from here on, YARN itself ends the application at last.
    until(lambda: int(knit.yarn_api.app_timeouts(str(app["id"]))["LIFETIME"]["remainingTimeInSeconds"]) > 0)
    airflow.kill("triggerer")
    airflow.start_again("triggerer")
    gate.touch()
    assert airflow.api.wait_for_run("deferred", run_id) == "success"
    assert [a["id"] for a in applications(f"deferred-{run_id}")] == [app["id"]]
    assert airflow.api.xcom("deferred", run_id, "job") == app["id"]
    assert airflow.api.xcom("deferred", run_id, "job", "result") == {"rows": 3}
    assert airflow.api.xcom("deferred", run_id, "job", "final_status") == "SUCCEEDED"
    log = airflow.api.log("deferred", run_id, "job")
    assert log.count("the gate is open") == 1
    assert "::group::default 0 stdout" in log


def test_marking_a_deferred_task_failed_ends_its_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications, gate: Path
) -> None:
    run_id = run_of("deferred", gate=str(gate))
    deferred_and_running(airflow, applications, "deferred", run_id)
    airflow.api.set_task_state("deferred", run_id, "job", "failed")
    until(lambda: not applications(f"deferred-{run_id}", *ALIVE), seconds=30)
    assert [a["state"] for a in applications(f"deferred-{run_id}")] == ["KILLED"]


def test_clearing_a_deferred_task_leaves_one_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications, gate: Path
) -> None:
    run_id = run_of("deferred", gate=str(gate))
    first = deferred_and_running(airflow, applications, "deferred", run_id)
    airflow.api.clear("deferred", run_id, "job")
    until(lambda: [a for a in applications(f"deferred-{run_id}", "RUNNING") if a["id"] != first["id"]], seconds=90)
    assert len(applications(f"deferred-{run_id}", *ALIVE)) == 1
    gate.touch()
    assert airflow.api.wait_for_run("deferred", run_id) == "success"
    assert sorted(a["finalStatus"] for a in applications(f"deferred-{run_id}")) == ["KILLED", "SUCCEEDED"]


def test_a_deferred_task_that_times_out_ends_its_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications
) -> None:
    run_id = run_of("deferred_for_20")
    assert airflow.api.wait_for_run("deferred_for_20", run_id) == "failed"
    assert [a["state"] for a in applications(f"deferred_for_20-{run_id}")] == ["KILLED"]
    assert "AirflowTaskTimeout" in airflow.api.log("deferred_for_20", run_id, "job")


def test_a_deferral_without_any_triggerer_ends_its_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications
) -> None:
    run_id = run_of("deferred_for_12")
    until(lambda: airflow.api.task("deferred_for_12", run_id, "job")["state"] == "deferred")
    airflow.kill("triggerer")
    try:
        assert airflow.api.wait_for_run("deferred_for_12", run_id) == "failed"
    finally:
        airflow.start_again("triggerer")
    assert [a["state"] for a in applications(f"deferred_for_12-{run_id}")] == ["KILLED"]
    assert "TaskDeferralTimeout" in airflow.api.log("deferred_for_12", run_id, "job")
