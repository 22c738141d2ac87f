"""DAG runs in a real Airflow: what a user does with it, and what may happen to a task on the way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil

from devtools.airflow_server import AirflowServer
from knit_provider import Knit
from tests.airflow.conftest import ALIVE, USER, Applications, Trigger, until
from tests.hadoop.packed import pack


def test_word_count(airflow: AirflowServer, knit: Knit, run_of: Trigger, tmp_path: Path) -> None:
    base = f"/user/{USER}/word-count-test"
    texts = ["To be, or not to be", "that is the question", "be", "", "whether 'tis nobler in the mind, to"]
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.txt"
        path.write_text(text + "\n")
        knit.connection.files.put(path, f"{base}/input/{number}.txt")
    run_id = run_of("word_count", input=f"{base}/input", output=f"{base}/output", containers=2, top=3)
    state = airflow.api.wait_for_run("word_count", run_id)
    log = airflow.api.log("word_count", run_id, "count")
    assert state == "success", log
    top = airflow.api.xcom("word_count", run_id, "merge")
    assert sorted(map(tuple, top[:3])) == [("be", 3), ("the", 2), ("to", 3)]
    app_id = airflow.api.xcom("word_count", run_id, "count")
    assert app_id == airflow.api.xcom("word_count", run_id, "count", "app_id")
    assert airflow.api.xcom("word_count", run_id, "count", "final_status") == "SUCCEEDED"
    assert airflow.api.xcom("word_count", run_id, "count", "tracking_url").endswith(f"/cluster/app/{app_id}")
    for index in (0, 1):
        assert f"container {index} of 2 counts" in log
        assert f"::group::default {index} stderr (container_" in log
    report = knit.status(app_id)
    assert (report["name"], report["user"], report["applicationType"]) == ("word_count.count", USER, "knit")
    assert any(tag.startswith("airflow-task-") for tag in report["applicationTags"].split(","))
    knit.connection.files.delete(base, recursive=True)


def test_an_environment_is_built_once_and_a_job_runs_in_it(
    airflow: AirflowServer, knit: Knit, run_of: Trigger, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    source = pack(tmp_path, "airflow-env", says="in the task's environment")
    uris = []
    for how in ("uploaded", "was in HDFS already"):
        run_id = run_of("env_on_yarn", source=str(source), module="told", containers=2)
        state = airflow.api.wait_for_run("env_on_yarn", run_id)
        log = airflow.api.log("env_on_yarn", run_id, "env")
        assert state == "success", log + airflow.api.log("env_on_yarn", run_id, "show")
        assert how in log
        uris.append(airflow.api.xcom("env_on_yarn", run_id, "env"))
        shown = airflow.api.log("env_on_yarn", run_id, "show")
        assert all(f"container {index}: Python" in shown for index in (0, 1))
        assert "site-packages/told.py" in shown
    assert uris[0] == uris[1] == next(env["uri"] for env in knit.list_envs() if env["name"] == "airflow-env")
    assert uris[0] in airflow.run("assets", "list", "--output", "json")
    knit.connection.files.delete(uris[0].rpartition("/")[0], recursive=True)


def test_a_failing_command_fails_the_task_with_its_last_words(airflow: AirflowServer, run_of: Trigger) -> None:
    run_id = run_of("fails")
    assert airflow.api.wait_for_run("fails", run_id) == "failed"
    log = airflow.api.log("fails", run_id, "job")
    assert "this goes to stdout" in log
    error = log[log.index("ApplicationFailed") :]
    for part in ("the disk of doom is full", "container_", "3"):
        assert part in error
    assert airflow.api.xcom("fails", run_id, "job", "final_status") == "FAILED"


def test_marking_a_running_task_failed_ends_its_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications, gate: Path
) -> None:
    run_id = run_of("waits", gate=str(gate))
    name = f"waits-{run_id}"
    until(lambda: applications(name, "RUNNING"))
    airflow.api.set_task_state("waits", run_id, "job", "failed")
    until(lambda: not applications(name, *ALIVE), seconds=30)
    assert [a["state"] for a in applications(name)] == ["KILLED"]
    assert airflow.api.task("waits", run_id, "job")["state"] == "failed"


def test_a_task_that_times_out_ends_its_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications
) -> None:
    run_id = run_of("times_out")
    assert airflow.api.wait_for_run("times_out", run_id) == "failed"
    name = f"times_out-{run_id}"
    until(lambda: not applications(name, *ALIVE), seconds=15)
    assert [a["state"] for a in applications(name)] == ["KILLED"], airflow.api.log("times_out", run_id, "job")


def test_a_worker_that_dies_does_not_start_a_second_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications, gate: Path
) -> None:
    run_id = run_of("waits", gate=str(gate))
    name = f"waits-{run_id}"
    (first,) = until(lambda: applications(name, "RUNNING"))
    worker = psutil.Process(airflow.api.task("waits", run_id, "job")["pid"])
    assert any(p.pid == worker.pid for p in psutil.Process(airflow.processes["scheduler"].pid).children(recursive=True))
    os.kill(worker.pid, signal.SIGKILL)

    def second_try_attached() -> bool:
        task = airflow.api.task("waits", run_id, "job")
        if (task["state"], task["try_number"]) != ("running", 2):
            return False
        return "of an earlier try" in airflow.api.log("waits", run_id, "job", 2)

    until(second_try_attached, seconds=90)
    gate.touch()
    assert airflow.api.wait_for_run("waits", run_id) == "success"
    assert [a["id"] for a in applications(name)] == [first["id"]]
    assert airflow.api.xcom("waits", run_id, "job") == first["id"]
    assert "the gate is open" in airflow.api.log("waits", run_id, "job", 2)


def test_clearing_a_running_task_leaves_one_application(
    airflow: AirflowServer, run_of: Trigger, applications: Applications, gate: Path
) -> None:
    run_id = run_of("waits", gate=str(gate))
    name = f"waits-{run_id}"
    (first,) = until(lambda: applications(name, "RUNNING"))
    airflow.api.clear("waits", run_id, "job")
    until(lambda: [a for a in applications(name, "RUNNING") if a["id"] != first["id"]], seconds=90)
    assert len(applications(name, *ALIVE)) == 1
    gate.touch()
    assert airflow.api.wait_for_run("waits", run_id) == "success"
    assert sorted(a["finalStatus"] for a in applications(name)) == ["KILLED", "SUCCEEDED"]


def test_airflow_knows_the_provider(airflow: AirflowServer) -> None:
    hooks = [line.split() for line in airflow.run("providers", "hooks").splitlines() if line.startswith("yarn ")]
    assert hooks[0][2] == "knit_provider.hooks.knit.KnitHook"
    assert {"yarn_conn_id", "knit-provider"} <= set(hooks[0])


def test_the_connection_forms_test_button(airflow: AirflowServer, yarn_connection: dict[str, Any]) -> None:
    form = {**yarn_connection, "connection_id": "c", "extra": json.dumps(yarn_connection["extra"])}
    good, said = airflow.api.test_connection(form)
    assert good, said
    assert "ACTIVE" in said
    assert USER in said
    bad, said = airflow.api.test_connection({**form, "port": 1, "extra": "{}"})
    assert not bad
    assert f"{yarn_connection['host']}:1" in said
