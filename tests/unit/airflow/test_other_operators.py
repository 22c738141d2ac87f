"""Wait, logs, kill and the sensor: applications that somebody else started, of any type."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from knit_provider.links.knit import YarnApplicationLink
from knit_provider.operators.knit import KnitKillOperator, KnitLogsOperator, KnitStartOperator, KnitWaitOperator
from knit_provider.operators.lineage import remote_files
from knit_provider.sensors.knit import KnitSensor
from knit_provider.yarn.errors import ApplicationFailed, ApplicationNotFound, ClusterUnavailable, PermissionDenied
from knit_provider.yarn.logs.chunk import LogChunk
from tests.unit.airflow.trying import Task

BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
URL = "http://rm:8088/cluster/app/"


def started(task: Task, state: str = "RUNNING", kind: str = "SPARK") -> str:
    app_id = task.cluster.new_id()
    task.cluster.states[app_id] = state
    task.cluster.application_type = kind
    return app_id


def ends_as(task: Task, state: str) -> None:
    """At the third look."""
    looks: list[str] = []

    def look(app_id: str) -> None:
        looks.append(app_id)
        if len(looks) >= 3:
            task.cluster.states[app_id] = state

    task.cluster.on_report = look


def play(task: Task, kind: type[Any], **arguments: Any) -> Any:
    def make() -> Any:
        return kind(task_id="t", **arguments)

    return task.play(make(), make)


@BOTH
def test_waiting_returns_the_final_status(task: Task, deferrable: bool, capsys: pytest.CaptureFixture[str]) -> None:
    app_id = started(task)
    task.cluster.logs = [LogChunk("container_1_0001_01_000001", None, None, "stderr", "the driver says\n")]
    ends_as(task, "SUCCEEDED")
    assert play(task, KnitWaitOperator, app_id=app_id, poll_interval=0.1, deferrable=deferrable) == "SUCCEEDED"
    assert "the driver says" in capsys.readouterr().out
    assert task.ti.xcoms["_link_YarnApplicationLink"] == task.ti.xcoms["tracking_url"] == URL + app_id
    assert task.ti.xcoms["final_status"] == "SUCCEEDED"


@BOTH
def test_waiting_for_one_that_fails_fails(task: Task, deferrable: bool) -> None:
    app_id = started(task)
    ends_as(task, "FAILED")
    with pytest.raises(ApplicationFailed):
        play(task, KnitWaitOperator, app_id=app_id, poll_interval=0.1, deferrable=deferrable)


def test_who_waits_does_not_end_what_is_not_theirs(task: Task) -> None:
    app_id = started(task)
    operator = KnitWaitOperator(task_id="t", app_id=app_id)
    with pytest.raises(Exception, match="Trigger timeout"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
    assert task.cluster.did("kill") == []


def test_killing(task: Task) -> None:
    app_id = started(task)
    assert play(task, KnitKillOperator, app_id=app_id) is True
    ended = started(task, "SUCCEEDED")
    assert play(task, KnitKillOperator, app_id=ended) is False
    with pytest.raises(AirflowFailException, match="SUCCEEDED before"):
        play(task, KnitKillOperator, app_id=ended, ok_if_finished=False)


def test_logs_are_written_up_to_a_limit_and_their_ends_returned(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    app_id = started(task, "SUCCEEDED")
    lines = "".join(f"line {i}\n" for i in range(100))
    task.cluster.logs = [LogChunk("container_1_0001_01_000001", None, None, "stderr", lines)]
    returned = play(task, KnitLogsOperator, app_id=app_id, max_bytes="50", tail_lines=2)
    said = capsys.readouterr().out
    assert "line 0" in said
    assert "line 90" not in said
    assert returned == {"container_1_0001_01_000001": "line 98\nline 99"}


@pytest.mark.parametrize("kind", [KnitWaitOperator, KnitKillOperator, KnitLogsOperator, KnitSensor])
@pytest.mark.parametrize("nothing", ["", "None", "application_12"])
def test_an_id_that_is_none_fails_for_good_and_says_why(task: Task, kind: type[Any], nothing: str) -> None:
    with pytest.raises(AirflowFailException, match=r"rendered to nothing|not an application id"):
        play(task, kind, app_id=nothing)


def test_an_application_that_nobody_knows(task: Task) -> None:
    for kind in (KnitWaitOperator, KnitLogsOperator):
        with pytest.raises(ApplicationNotFound):
            play(task, kind, app_id="application_1_0099")
    with pytest.raises(AirflowFailException):
        play(task, KnitSensor, app_id="application_1_0099")


# -- the sensor ---------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("becomes", "targets", "returned"),
    [
        ("SUCCEEDED", ["SUCCEEDED"], "SUCCEEDED"),
        ("FAILED", ["FAILED", "KILLED"], "FAILED"),
        ("FAILED", ["FINISHED"], "FAILED"),
        ("RUNNING", ["RUNNING"], "RUNNING"),
    ],
)
def test_a_state_that_is_waited_for(
    task: Task, deferrable: bool, becomes: str, targets: list[str], returned: str
) -> None:
    app_id = started(task, "ACCEPTED")
    ends_as(task, becomes)
    arguments = {"app_id": app_id, "target_states": targets, "deferrable": deferrable, "poke_interval": 0.1}
    assert play(task, KnitSensor, **arguments) == returned


@BOTH
def test_another_end_fails_at_once(task: Task, deferrable: bool) -> None:
    app_id = started(task)
    ends_as(task, "KILLED")
    with pytest.raises(AirflowFailException, match="will not be SUCCEEDED"):
        play(task, KnitSensor, app_id=app_id, deferrable=deferrable, poke_interval=0.1)
    with pytest.raises(AirflowSkipException):
        play(task, KnitSensor, app_id=app_id, deferrable=deferrable, soft_fail=True)


@BOTH
def test_a_state_that_fails_the_sensor(task: Task, deferrable: bool) -> None:
    app_id = started(task, "ACCEPTED")
    ends_as(task, "RUNNING")
    with pytest.raises(AirflowFailException, match="failed_states"):
        play(task, KnitSensor, app_id=app_id, failed_states=["RUNNING"], deferrable=deferrable, poke_interval=0.1)


def test_the_trigger_may_end_the_task_itself(task: Task) -> None:
    from airflow.triggers.base import TaskSuccessEvent

    app_id = started(task)
    sensor = KnitSensor(task_id="t", app_id=app_id, deferrable=True, end_from_trigger=True, failed_states=["FAILED"])
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute(task.context)
    task.cluster.states[app_id] = "SUCCEEDED"

    async def first() -> Any:
        return await anext(caught.value.trigger.run())

    event = asyncio.run(first())
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms == {"return_value": "SUCCEEDED"}


def test_a_sensor_that_times_out_leaves_the_application(task: Task) -> None:
    app_id = started(task)
    with pytest.raises(AirflowSensorTimeout):
        play(task, KnitSensor, app_id=app_id, timeout=0.1, poke_interval=0.05, deferrable=False)
    assert task.cluster.states[app_id] == "RUNNING"


def test_looks_of_different_processes_know_how_long_the_cluster_is_away(task: Task) -> None:
    app_id = started(task)
    away = [True]

    def look(_app_id: str) -> None:
        if away[0]:
            raise ClusterUnavailable("no route")

    def looked() -> Any:
        arguments = {"mode": "reschedule", "poll_retry_timeout": 300, "deferrable": False}
        return KnitSensor(task_id="t", app_id=app_id, **arguments).poke(task.context)

    task.cluster.on_report = look
    assert looked() is None
    task.store["knit_sensor_trouble"]["since"] -= 290
    assert looked() is None
    away[0] = False
    assert looked() is None
    assert task.store == {}  # over
    away[0] = True
    assert looked() is None
    task.store["knit_sensor_trouble"]["since"] -= 301
    with pytest.raises(ClusterUnavailable, match="no route"):
        looked()
    task.ti.try_number += 1
    assert looked() is None  # a new try has a new patience


def test_a_refusal_fails_the_sensor_for_good(task: Task) -> None:
    app_id = started(task)

    def look(_app_id: str) -> None:
        raise PermissionDenied("not yours")

    task.cluster.on_report = look
    with pytest.raises(AirflowFailException, match="not yours"):
        play(task, KnitSensor, app_id=app_id, deferrable=False)


def test_lineage_names_what_lies_in_a_filesystem_of_the_cluster() -> None:
    files = ["hdfs://ns1/data/a.txt", "/local/b.txt", "file:///c.txt"]
    operator = KnitStartOperator(task_id="t", command="date", files=files, env="hdfs://ns1/envs/e.tar.gz")
    assert remote_files(operator) == [("hdfs://ns1", "/data/a.txt"), ("hdfs://ns1", "/envs/e.tar.gz")]
    operator = KnitStartOperator(task_id="t", command="date", files={"a": "s3a://bucket/k"}, env="python:///usr/bin/py")
    assert remote_files(operator) == [("s3a://bucket", "/k")]


def test_the_link_never_raises() -> None:
    assert YarnApplicationLink().get_link(None, ti_key=None) == ""
