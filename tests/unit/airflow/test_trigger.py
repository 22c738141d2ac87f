"""``KnitTrigger`` and the poll that all triggers of a process share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred
from airflow.sdk.exceptions import AirflowNotFoundException

from knit_provider.hooks.knit import KnitHook
from knit_provider.triggers.knit import KnitTrigger
from knit_provider.yarn.errors import ApplicationKilled, ClusterUnavailable, PermissionDenied
from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.report import ApplicationReport
from tests.unit.airflow.fakes import FakeAPI, FakeCluster
from tests.unit.airflow.trying import Task, fire


def running(cluster: FakeCluster, count: int = 1) -> list[str]:
    ids = [cluster.new_id() for _ in range(count)]
    cluster.states.update(dict.fromkeys(ids, "RUNNING"))
    return ids


async def first_event(trigger: KnitTrigger) -> Any:
    return (await anext(trigger.run())).payload


async def until(what: Any) -> None:
    for _ in range(500):
        if what():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within 10 s")


def test_no_event_comes_before_the_scheduler_has_seen_the_deferral(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit_provider.triggers.knit.FIRST_EVENT_SECONDS", 600.0)
    (app_id,) = running(cluster)
    cluster.states[app_id] = "SUCCEEDED"

    async def scene() -> bool:
        waiting = asyncio.ensure_future(first_event(KnitTrigger(app_id, poll_interval=1)))
        await until(lambda: cluster.requests)
        await asyncio.wait([waiting], timeout=0.5)
        held = not waiting.done()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        return held

    assert asyncio.run(scene())


def test_many_triggers_ask_together(cluster: FakeCluster) -> None:
    ids = running(cluster, 200)

    async def scene() -> list[Any]:
        waiting = [asyncio.ensure_future(first_event(KnitTrigger(i, poll_interval=1))) for i in ids]
        await until(lambda: cluster.requests.count("list") >= 2)
        one_by_one = len([r for r in cluster.requests if r != "list"])
        assert one_by_one == 200  # the first look, which tells whose they are
        cluster.states.update(dict.fromkeys(ids, "SUCCEEDED"))
        return await asyncio.gather(*waiting)

    events = asyncio.run(scene())
    assert {(e["event"], e["final_status"]) for e in events} == {("ended", "SUCCEEDED")}
    assert sorted(e["app_id"] for e in events) == ids
    asked = [r for r in cluster.requests if r != "list"]
    assert len(asked) == 400  # and one more of each when it was gone from the list
    assert cluster.requests.count("list") <= 6


def test_one_that_is_missing_from_the_list_is_asked_about(cluster: FakeCluster) -> None:
    ids = running(cluster, 4)
    cluster.application_type = "SPARK"

    async def scene() -> Any:
        waiting = [asyncio.ensure_future(first_event(KnitTrigger(i, poll_interval=1))) for i in ids]
        await until(lambda: "list" in cluster.requests)
        cluster.states[ids[2]] = "FAILED"
        done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        return [task.result() for task in done]

    (event,) = asyncio.run(scene())
    assert (event["app_id"], event["final_status"]) == (ids[2], "FAILED")


def test_errors_reach_only_whom_they_concern(cluster: FakeCluster) -> None:
    (app_id,) = running(cluster)
    assert fire(KnitTrigger("application_1_0099"))["event"] == "lost"
    cluster.trouble = [PermissionDenied("not yours")]
    event = fire(KnitTrigger(app_id))
    assert (event["event"], event["error"]) == ("trouble", "PermissionDenied")
    cluster.trouble = [ClusterUnavailable("away")] * 2
    cluster.on_report = lambda i: cluster.states.update({i: "SUCCEEDED"})
    assert fire(KnitTrigger(app_id, poll_interval=0.1))["event"] == "ended"


def test_a_bug_fails_the_trigger_and_does_not_hang_it(cluster: FakeCluster) -> None:
    (app_id,) = running(cluster)
    cluster.trouble = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError):
        fire(KnitTrigger(app_id))


def test_what_is_stored_holds_no_secret_and_makes_the_same_trigger() -> None:
    trigger = KnitTrigger("application_1_0001", "my_yarn", deadline=12.5, target_states=("RUNNING",), pending_timeout=3)
    path, arguments = trigger.serialize()
    assert path == f"{KnitTrigger.__module__}.{KnitTrigger.__qualname__}"
    again = KnitTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    assert set(arguments) == {
        "app_id",
        "yarn_conn_id",
        "poll_interval",
        "poll_retry_timeout",
        "pending_timeout",
        "deadline",
        "logs_at",
        "on_kill_action",
        "target_states",
        "failed_states",
        "end_from_trigger",
        "lifetime_until",
    }


@pytest.mark.parametrize(("action", "killed"), [("kill", True), ("keep", False)])
def test_a_person_who_ends_the_task_ends_the_application(cluster: FakeCluster, action: str, killed: bool) -> None:
    (app_id,) = running(cluster)

    async def scene() -> None:
        trigger = KnitTrigger(app_id, on_kill_action=action)
        waiting = asyncio.ensure_future(first_event(trigger))
        await until(lambda: cluster.requests)
        # So does the triggerer: what comes out of run() decides whether on_kill is called.
        waiting.cancel("user-action")
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert cluster.did("kill") == []
        await trigger.on_kill()

    asyncio.run(scene())
    assert (cluster.states[app_id] == "KILLED") is killed


def test_a_triggerer_that_stops_ends_nothing(cluster: FakeCluster) -> None:
    (app_id,) = running(cluster)

    async def scene() -> None:
        trigger = KnitTrigger(app_id)
        waiting = asyncio.ensure_future(first_event(trigger))
        await until(lambda: cluster.requests)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await trigger.cleanup()

    asyncio.run(scene())
    assert cluster.states[app_id] == "RUNNING"


def kills_slowly(monkeypatch: pytest.MonkeyPatch, until: threading.Event) -> list[float]:
    """No call comes back before ``until``; returns how long each call was to wait for the application's end."""
    waits: list[float] = []

    def kill(self: FakeAPI, app_id: str, timeout: float, diagnostics: str) -> bool:
        waits.append(timeout)
        assert until.wait(30)
        return self._cluster.kill(app_id)

    monkeypatch.setattr(FakeAPI, "kill", kill)
    return waits


async def give_up_each(ids: list[str], **arguments: Any) -> None:
    """What the triggerer does when its patience with each ``on_kill`` is over."""
    kills = [asyncio.ensure_future(KnitTrigger(i, **arguments).on_kill()) for i in ids]
    await asyncio.wait(kills, timeout=0.3)
    for kill in kills:
        kill.cancel()
    assert {type(e) for e in await asyncio.gather(*kills, return_exceptions=True)} == {asyncio.CancelledError}


@pytest.mark.timeout(60)
def test_every_kill_is_sent_though_airflow_waits_for_none_to_its_end(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = running(cluster, 40)
    answers = threading.Event()
    waits = kills_slowly(monkeypatch, answers)

    async def scene() -> None:
        await give_up_each(ids)
        assert len(waits) < len(ids)
        answers.set()
        await until(lambda: set(cluster.states.values()) == {"KILLED"})

    asyncio.run(scene())
    assert waits == [0] * len(ids)  # none keeps its thread until the application has ended


@pytest.mark.timeout(60)
def test_a_triggerer_that_stops_sends_the_kills_that_are_queued(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = running(cluster, 40)
    answers = threading.Event()
    kills_slowly(monkeypatch, answers)

    async def scene() -> None:
        await give_up_each(ids)
        threading.Timer(0.2, answers.set).start()

    asyncio.run(scene())
    assert set(cluster.states.values()) == {"KILLED"}


@pytest.mark.timeout(60)
def test_a_kill_is_sent_again_while_the_cluster_or_the_connection_is_away(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit_provider.triggers.kills.PAUSE_SECONDS", 0.05)
    (app_id,) = running(cluster)
    tries = cannot_be_read(monkeypatch, 2)
    troubles = [ClusterUnavailable("no route"), ClusterUnavailable("it says 500")]
    original = FakeAPI.kill

    def kill(self: FakeAPI, app_id: str, timeout: float, diagnostics: str) -> bool:
        if troubles:
            raise troubles.pop()
        return original(self, app_id, timeout, diagnostics)

    monkeypatch.setattr(FakeAPI, "kill", kill)

    async def scene() -> None:
        await KnitTrigger(app_id).on_kill()

    asyncio.run(scene())
    assert cluster.states[app_id] == "KILLED"
    assert tries == []


def cannot_be_read(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Exception]:
    """What Airflow raises when it could not fetch a connection; each time one less is left."""
    left: list[Exception] = [AirflowNotFoundException("The conn_id `yarn_default` isn't defined")] * times

    async def read(self: KnitHook) -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(KnitHook, "aread_connection", read)
    return left


def test_a_connection_that_cannot_be_read_is_read_again_and_ends_no_application(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task.cluster.outcome = "RUNNING"
    task.cluster.on_report = lambda app_id: task.cluster.states.update({app_id: "SUCCEEDED"})
    left = cannot_be_read(monkeypatch, 2)
    assert task.run(deferrable=True) in task.cluster.states
    assert left == []
    cannot_be_read(monkeypatch, 1000)
    task.store.clear()
    task.cluster.on_report = lambda app_id: None
    with pytest.raises(ClusterUnavailable, match="yarn_default could not be read"):
        task.run(deferrable=True, poll_retry_timeout=0.1)
    assert task.cluster.did("kill") == []  # a try is left, which finds it


def test_a_connection_is_not_read_for_longer_than_the_task_has_time(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task.cluster.outcome = "RUNNING"
    cannot_be_read(monkeypatch, 1000)
    with pytest.raises(AirflowTaskTimeout):
        task.run(deferrable=True, execution_timeout=timedelta(seconds=0.5))
    assert list(task.cluster.states.values()) == ["KILLED"]


@pytest.mark.parametrize("due", [None, 3600.0])
def test_a_cancellation_that_comes_with_a_report_is_not_forgotten(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, due: float | None
) -> None:
    (app_id,) = running(cluster)
    reports: list[asyncio.Future[ApplicationReport]] = []

    class Poll:
        async def report(self, app_id: str, pause: float) -> ApplicationReport:
            reports.append(asyncio.get_running_loop().create_future())
            return await reports[-1]

    async def poll_of(hook: KnitHook) -> Poll:
        return Poll()

    monkeypatch.setattr("knit_provider.triggers.knit.shared_poll", poll_of)

    async def scene(turns: int) -> None:
        reports.clear()
        deadline = None if due is None else time.time() + due
        waiting = asyncio.ensure_future(first_event(KnitTrigger(app_id, deadline=deadline)))
        await until(lambda: reports)
        reports[0].set_result(ApplicationReport(app_id, "RUNNING"))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel("user-action")
        await asyncio.wait([waiting], timeout=5)
        assert waiting.cancelled(), f"after {turns} turns of the loop"

    for turns in range(5):
        asyncio.run(scene(turns))


# -- the operator around it ---------------------------------------------------------------------------------------


def test_nothing_waits_longer_than_the_tasks_timeout(task: Task) -> None:
    task.cluster.outcome = "RUNNING"
    with pytest.raises(AirflowTaskTimeout, match="was killed"):
        task.run(deferrable=True, execution_timeout=timedelta(seconds=0.5))
    (deferral,) = task.deferred
    assert deferral.trigger.deadline <= time.time()
    assert 60 <= deferral.timeout.total_seconds() <= 61
    assert list(task.cluster.states.values()) == ["KILLED"]


def deferral_of(task: Task, **arguments: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        task.make(deferrable=True, **arguments).execute(task.context)
    return caught.value


@pytest.mark.parametrize("store", [True, False], ids=["state store", "xcom"])
def test_where_airflow_gives_up_the_deferral_the_application_ends(task: Task, store: bool) -> None:
    task.cluster.outcome = "RUNNING"
    deferral_of(task)
    if not store:
        del task.context["task_state_store"]
    with pytest.raises(Exception, match="Trigger timeout"):
        task.make(deferrable=True).resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
    assert list(task.cluster.states.values()) == ["KILLED"]


def test_it_goes_on_where_that_was_asked_for(task: Task) -> None:
    task.cluster.outcome = "RUNNING"
    deferral_of(task, on_kill_action="keep")
    with pytest.raises(Exception, match="Trigger timeout"):
        task.make(on_kill_action="keep").resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
    assert list(task.cluster.states.values()) == ["RUNNING"]


def test_logs_come_by_and_by_and_each_line_once(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    task.cluster.outcome = "RUNNING"

    def say(text: str) -> None:
        task.cluster.logs.append(LogChunk("container_1_0001_01_000002", "default", 0, "stdout", text))

    say("first line\n")
    deferral = deferral_of(task, logging_interval=0.1)
    with pytest.raises(TaskDeferred) as caught:
        task.resumed(task.make(deferrable=True, logging_interval=60), deferral)
    assert caught.value.kwargs["cursor"] == {"container_1_0001_01_000002/stdout": 11}
    say("second line\n")
    task.cluster.states = dict.fromkeys(task.cluster.states, "SUCCEEDED")
    task.resumed(task.make(deferrable=True, logging_interval=60), caught.value)
    said = capsys.readouterr().out
    assert said.count("first line") == said.count("second line") == 1


def test_a_result_knows_the_containers_whose_logs_an_earlier_visit_has_read(task: Task) -> None:
    task.cluster.outcome = "RUNNING"

    def say(index: int, file: str, text: str) -> None:
        task.cluster.logs.append(LogChunk(f"container_1_0001_01_00000{index + 2}", "default", index, file, text))

    for index in range(4):
        say(index, "prelaunch.out", "Launching container")
    deferral = deferral_of(task, logging_interval=0.1)
    with pytest.raises(TaskDeferred) as caught:
        task.resumed(task.make(deferrable=True, logging_interval=60), deferral)
    for index in (1, 3):
        say(index, "knit-result.json", f'"v{index}"')
    task.cluster.result = [None, "v1", None, "v3"]  # as read from the whole logs
    task.cluster.states = dict.fromkeys(task.cluster.states, "SUCCEEDED")
    task.resumed(task.make(deferrable=True, logging_interval=60), caught.value)
    assert task.ti.xcoms["result"] == [None, "v1", None, "v3"]


def test_yarn_is_told_of_the_lifetime_by_the_trigger_once_it_runs(task: Task) -> None:
    task.cluster.outcome = "ACCEPTED"
    looks: list[str] = []

    def look(app_id: str) -> None:
        looks.append(app_id)
        task.cluster.states[app_id] = ("ACCEPTED", "RUNNING", "RUNNING", "SUCCEEDED")[min(len(looks), 3)]

    task.cluster.on_report = look
    app_id = task.run(deferrable=True, lifetime="2 h")
    assert task.cluster.expiry == {app_id: "in 7200 s"} or task.cluster.expiry == {app_id: "in 7199 s"}


def test_an_application_killed_by_others_is_a_failure(task: Task) -> None:
    task.cluster.outcome = "RUNNING"
    deferral = deferral_of(task)
    task.cluster.states = dict.fromkeys(task.cluster.states, "KILLED")
    with pytest.raises(ApplicationKilled):
        task.resumed(task.make(deferrable=True), deferral)
    assert len(task.cluster.did("submit")) == 1
