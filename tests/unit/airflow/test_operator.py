"""``KnitStartOperator`` around its calls to the cluster: validation, one application per task, and what a kill does."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.dask import DaskYARNClusterStartOperator
from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationKilled,
    AuthenticationFailed,
    ClusterUnavailable,
    KnitError,
    WaitTimeout,
)
from knit_provider.yarn.logs.chunk import LogChunk
from tests.unit.airflow.fakes import FakeApplication, FakeKnit
from tests.unit.airflow.trying import Task

WEEK = 7 * 24 * 3600


def test_the_id_is_stored_and_told_before_anything_is_submitted(task: Task) -> None:
    app_id = task.run()
    verbs = [verb for verb, _ in task.cluster.calls]
    assert verbs.index("store") < verbs.index("xcom") < verbs.index("submit")
    assert task.cluster.did("store") == task.cluster.did("submit") == [app_id]
    assert task.ti.xcoms == {
        "app_id": app_id,
        "tracking_url": f"http://rm:8088/cluster/app/{app_id}",
        "_link_YarnApplicationLink": f"http://rm:8088/cluster/app/{app_id}",
        "final_status": "SUCCEEDED",
    }
    assert task.cluster.calls[-1] == ("close", "")


def test_what_is_submitted(task: Task) -> None:
    task.run(
        command="echo $X",
        num_containers="3",
        virtual_cores="2",
        memory="1 GiB",
        envvars={"X": "1"},
        container_resources={"yarn.io/gpu": "1", "licences": 2},
        tags=["nightly"],
    )
    (spec,) = task.cluster.specs
    service = spec.services["default"]
    assert (spec.name, spec.queue, spec.lifetime) == ("etl.count", "etl", WEEK)
    assert (service.script, service.instances) == ("echo $X", 3)
    assert (service.resources.memory, service.resources.vcores, service.envvars) == (1024, 2, {"X": "1"})
    assert service.resources.amounts() == {"yarn.io/gpu": 1, "licences": 2}
    assert spec.tags[0] == "nightly"
    assert spec.tags[1].startswith("airflow-task-")


def test_the_operators_queue_wins_over_the_connections(task: Task) -> None:
    task.run(yarn_queue="adhoc")
    assert task.cluster.specs[0].queue == "adhoc"


def test_yarn_ends_what_outlives_the_execution_timeout(task: Task) -> None:
    task.run(execution_timeout=timedelta(hours=1))
    assert 3600 + 590 <= task.cluster.specs[0].lifetime <= 3600 + 600
    task.store.clear()
    task.run(execution_timeout=timedelta(hours=1), lifetime="2 h")
    assert task.cluster.specs[1].lifetime == 7200


BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"command": " "}, "command"),
        ({"command": []}, "command"),
        ({"num_containers": "many"}, "num_containers"),
        ({"num_containers": -1}, "num_containers"),
        ({"virtual_cores": 0}, "virtual_cores"),
        ({"memory": "lots"}, "memory"),
        ({"env": {"A": "b"}}, "envvars"),
        ({"tags": ["a,b"]}, "tags"),
        ({"on_kill_action": "wait"}, "on_kill_action"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"log_tail_lines": -1}, "log_tail_lines"),
        ({"lifetime": "soon"}, "lifetime"),
        ({"poll_retry_timeout": "long"}, "poll_retry_timeout"),
        ({"pending_timeout": 0}, "pending_timeout"),
        ({"log_max_bytes": -1}, "log_max_bytes"),
        ({"skip_on_exit_code": "none"}, "skip_on_exit_code"),
        ({"container_resources": {"gpu": "x"}}, "container_resources"),
    ],
)
def test_bad_input_fails_for_good_and_starts_nothing(task: Task, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(AirflowFailException, match=words):
        task.run(**wrong)
    assert task.cluster.did("store") == task.cluster.did("submit") == []


@BOTH
def test_a_failure_has_the_containers_last_words(task: Task, deferrable: bool) -> None:
    task.cluster.outcome = "FAILED"
    task.cluster.logs = [
        LogChunk("container_1_0001_01_000002", "default", 0, "stderr", "one\ntwo\nthe disk of doom is full\n"),
        LogChunk("container_1_0001_01_000003", "default", 1, "stderr", "all is well here\n"),
    ]
    with pytest.raises(ApplicationFailed) as caught:
        task.run(log_tail_lines=2, deferrable=deferrable)
    assert "two\nthe disk of doom is full" in str(caught.value)
    assert "one" not in str(caught.value).split()
    assert "all is well" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert task.ti.xcoms["final_status"] == "FAILED"


@BOTH
def test_what_containers_say_is_logged_once_and_what_they_write_comes_back(
    task: Task, deferrable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    task.cluster.logs = [
        LogChunk("container_1_0001_01_000002", "default", 0, "stdout", "hello\n"),
        LogChunk("container_1_0001_01_000002", "default", 0, "knit-result.json", '{"rows": 7}'),
        LogChunk("container_1_0001_01_000003", "default", 1, "stdout", "world\n"),
    ]
    app_id = task.run(deferrable=deferrable)
    assert task.ti.xcoms["result"] == [{"rows": 7}, None]
    assert task.ti.xcoms["final_status"] == "SUCCEEDED"
    assert task.ti.xcoms["app_id"] == app_id


def test_a_result_comes_back_without_logs_too(task: Task) -> None:
    task.cluster.result = 3
    task.run(get_logs=False)
    assert task.ti.xcoms["result"] == 3


def test_a_result_that_is_no_json_fails_for_good(task: Task) -> None:
    task.cluster.logs = [LogChunk("container_1_0001_01_000002", "default", 0, "knit-result.json", "{")]
    with pytest.raises(AirflowFailException, match="JSON"):
        task.run()


@pytest.mark.parametrize("stored", [True, False])
def test_a_result_that_is_not_to_be_had_yet_is_looked_for_by_the_next_try(
    stored: bool, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: FakeApplication) -> Any:
        if task.ti.try_number == 1:
            raise ClusterUnavailable("the cluster has not collected the logs yet")
        return 3

    monkeypatch.setattr(FakeApplication, "result", away)
    if not stored:
        below_3_3(task, monkeypatch, None)
    # Where the next try would not find the application, it would run the job again.
    with pytest.raises(ClusterUnavailable if stored else AirflowFailException, match="not collected"):
        task.run(get_logs=False)
    if stored:
        task.ti.try_number = 2
        task.run(get_logs=False)
        assert task.ti.xcoms["result"] == 3
    assert len(task.cluster.did("submit")) == 1


@BOTH
def test_an_exit_code_may_skip_the_task(task: Task, deferrable: bool) -> None:
    task.cluster.outcome = "FAILED"
    with pytest.raises(AirflowSkipException):
        task.run(skip_on_exit_code=[99, 3], deferrable=deferrable)
    task.store.clear()
    with pytest.raises(ApplicationFailed):
        task.run(skip_on_exit_code=99, deferrable=deferrable)


@BOTH
def test_an_application_that_gets_no_container_is_ended_after_a_while(task: Task, deferrable: bool) -> None:
    task.cluster.outcome = "ACCEPTED"
    task.cluster.pending_ms = 61_000
    with pytest.raises(ApplicationKilled, match="pending_timeout is 60 s"):
        task.run(pending_timeout=60, deferrable=deferrable)
    assert list(task.cluster.states.values()) == ["KILLED"]
    task.store.clear()
    with pytest.raises(WaitTimeout, match="goes on"):
        task.run(pending_timeout=60, deferrable=deferrable, on_kill_action="keep")
    assert list(task.cluster.states.values()) == ["KILLED", "ACCEPTED"]


@BOTH
def test_a_cluster_that_is_away_for_a_while_is_waited_for(task: Task, deferrable: bool) -> None:
    task.cluster.outcome = "RUNNING"
    away = [ClusterUnavailable("no route"), ClusterUnavailable("no route")]

    def look(app_id: str) -> None:
        if away:
            raise away.pop()
        task.cluster.states[app_id] = "SUCCEEDED"

    task.cluster.on_report = look
    assert task.run(deferrable=deferrable) in task.cluster.states


@BOTH
def test_a_cluster_that_stays_away_is_given_up_and_the_next_try_goes_on(task: Task, deferrable: bool) -> None:
    task.cluster.outcome = "RUNNING"

    def look(app_id: str) -> None:
        raise ClusterUnavailable("no route")

    task.cluster.on_report = look
    with pytest.raises(ClusterUnavailable, match="no route"):
        task.run(poll_retry_timeout=0.1, deferrable=deferrable)
    assert task.cluster.did("kill") == []  # one try is left, which finds it
    task.ti.try_number = 2
    with pytest.raises(ClusterUnavailable):
        task.run(poll_retry_timeout=0.1, deferrable=deferrable)
    assert len(task.cluster.did("submit")) == 1
    assert task.cluster.did("kill") == task.cluster.did("submit")  # nobody would look after it


@BOTH
def test_a_refusal_ends_the_wait_at_once(task: Task, deferrable: bool) -> None:
    task.cluster.outcome = "RUNNING"

    def look(app_id: str) -> None:
        raise AuthenticationFailed("no ticket")

    task.cluster.on_report = look
    with pytest.raises(AirflowFailException, match="no ticket"):
        task.run(deferrable=deferrable)


def test_not_waiting_returns_at_once(task: Task) -> None:
    task.cluster.outcome = "RUNNING"
    app_id = task.run(wait_for_completion=False)
    assert task.cluster.states == {app_id: "RUNNING"}
    assert "final_status" not in task.ti.xcoms


# -- a try after one whose worker died ----------------------------------------------------------------------------


def died(task: Task, state: str | None, max_tries: int = 1) -> str:
    """Leave what a try leaves that stored its id and was killed -9."""
    app_id = task.cluster.new_id()
    task.store["knit_application"] = {"app_id": app_id, "max_tries": max_tries}
    if state is not None:
        task.cluster.states[app_id] = state
    return app_id


@BOTH
def test_a_running_application_is_followed(task: Task, deferrable: bool) -> None:
    app_id = died(task, "RUNNING")
    task.cluster.on_report = lambda _id: task.cluster.states.update({app_id: "SUCCEEDED"}) if task.ti.xcoms else None
    assert task.run(deferrable=deferrable) == app_id
    assert task.cluster.did("submit") == []
    assert task.ti.xcoms["app_id"] == app_id


@BOTH
def test_an_application_that_succeeded_meanwhile_is_the_result(task: Task, deferrable: bool) -> None:
    app_id = died(task, "SUCCEEDED")
    assert task.run(deferrable=deferrable) == app_id
    assert task.cluster.did("submit") == []
    assert task.deferred == []


def test_it_is_run_again_where_that_is_asked_for(task: Task) -> None:
    app_id = died(task, "SUCCEEDED")
    assert task.run(force_rerun=True) != app_id
    assert len(task.cluster.did("submit")) == 1


def below_3_3(task: Task, monkeypatch: pytest.MonkeyPatch, deployment: str | None) -> None:
    del task.context["task_state_store"]
    monkeypatch.setattr(KnitHook, "deployment", deployment)


def test_without_a_state_store_the_tag_finds_it(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    below_3_3(task, monkeypatch, "prod")
    first = task.run(wait_for_completion=False)
    assert task.run() == first
    assert task.cluster.did("submit") == [first]
    task.ti.max_tries += 1  # a person cleared it
    assert task.run() != first
    monkeypatch.setattr(KnitHook, "deployment", "another Airflow")
    task.run()
    assert len(task.cluster.did("submit")) == 3


def test_a_task_that_is_cleared_with_fewer_retries_than_before_runs_anew(task: Task) -> None:
    task.ti.max_tries = 2
    first = task.run(retries=2)
    task.cleared(retries=1)
    assert task.ti.max_tries == 2
    assert task.run(retries=1) != first


@pytest.mark.timeout(20)
@pytest.mark.parametrize("store", [True, False], ids=["state store", "tag"])
def test_its_application_is_ended_before_a_new_one_starts(
    task: Task, monkeypatch: pytest.MonkeyPatch, store: bool
) -> None:
    if not store:
        below_3_3(task, monkeypatch, "prod")
    task.cluster.outcome = "RUNNING"
    task.ti.max_tries = 3
    first = task.run(retries=3, wait_for_completion=False)
    task.cleared(retries=0)
    task.cluster.outcome = "SUCCEEDED"
    assert task.run(retries=0) != first
    assert task.cluster.states[first] == "KILLED"


@BOTH
def test_without_store_and_deployment_nothing_is_adopted_and_a_lost_wait_ends_the_application(
    task: Task, deferrable: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    below_3_3(task, monkeypatch, None)
    first = task.run()
    assert capsys.readouterr().out.count("names no deployment") == 1
    assert task.run() != first
    task.cluster.outcome = "RUNNING"

    def look(app_id: str) -> None:
        raise ClusterUnavailable("no route")

    task.cluster.on_report = look
    with pytest.raises(ClusterUnavailable):
        task.run(poll_retry_timeout=0.1, deferrable=deferrable)
    assert task.cluster.did("kill") == task.cluster.did("submit")[-1:]


@pytest.mark.timeout(60)
def test_the_last_try_waits_for_a_cluster_that_cannot_say_what_carries_the_tag(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    below_3_3(task, monkeypatch, "prod")
    task.cluster.outcome = "RUNNING"
    first = task.run(wait_for_completion=False)
    task.ti.try_number = 2
    away_for_a_moment(task)
    task.cluster.on_report = lambda app_id: task.cluster.states.update({app_id: "SUCCEEDED"})
    assert task.run() == first
    assert task.cluster.did("submit") == [first]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("answers", [False, True])
def test_a_kill_while_the_tag_is_looked_for_ends_the_wait_and_what_is_found(
    task: Task, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    below_3_3(task, monkeypatch, "prod")
    task.cluster.outcome = "RUNNING"
    first = task.run(wait_for_completion=False)

    def find(*given: Any, **wanted: Any) -> Any:
        task.operator.on_kill()
        if not answers:
            raise ClusterUnavailable("no route")
        return [task.cluster.app(first)]

    monkeypatch.setattr("tests.unit.airflow.fakes.FakeAPI.find", find)
    with pytest.raises(ApplicationKilled, match="stopped"):
        task.run()
    assert task.cluster.did("submit") == [first]
    assert task.cluster.did("kill") == [first] * answers


def test_a_tag_adopts_nothing_where_there_is_a_store(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnitHook, "deployment", "prod")
    first = task.run(wait_for_completion=False)
    task.store.clear()
    assert task.run() != first


def test_an_id_that_was_never_submitted_is_used(task: Task) -> None:
    app_id = died(task, None)
    assert task.run() == app_id
    assert task.cluster.did("submit") == [app_id]


def test_a_failed_application_is_followed_by_a_new_one(task: Task) -> None:
    app_id = died(task, "FAILED")
    assert task.run() != app_id
    assert len(task.cluster.did("submit")) == 1


def operator(task: Task, kind: str, **arguments: Any) -> Any:
    """An operator that starts something, as a new process makes it."""
    return task.make(**arguments) if kind == "command" else DaskYARNClusterStartOperator(task_id="count", **arguments)


@pytest.mark.parametrize("kind", ["command", "dask"])
def test_an_application_of_unknown_outcome_is_never_run_again(task: Task, kind: str) -> None:
    app_id = died(task, "UNKNOWN")
    with pytest.raises(AirflowFailException, match=f"{app_id} .*unknown"):
        operator(task, kind).execute(task.context)
    assert task.cluster.did("submit") == []
    assert task.store["knit_application"]["app_id"] == app_id


@pytest.mark.parametrize(("try_number", "killed"), [(1, False), (2, True)])
def test_a_dask_cluster_that_cannot_be_gone_on_with_waits_for_the_next_try_and_ends_after_the_last(
    task: Task, try_number: int, killed: bool
) -> None:
    app_id = died(task, "RUNNING")
    task.ti.try_number = try_number

    def look(asked: str) -> None:
        raise ClusterUnavailable("no route")

    task.cluster.on_report = look
    with pytest.raises(ClusterUnavailable):
        operator(task, "dask", poll_retry_timeout=0.1).execute(task.context)
    assert task.cluster.did("submit") == []
    assert task.cluster.did("kill") == [app_id] * killed


def away_for_a_moment(task: Task) -> None:
    """The next two questions about anything are not answered."""
    task.cluster.trouble = [ClusterUnavailable("no route"), ClusterUnavailable("no route")]


def test_below_airflow_3_3_a_dask_cluster_is_found_by_its_tag(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    below_3_3(task, monkeypatch, "prod")
    app_id = task.run(wait_for_completion=False)
    task.cluster.states[app_id] = "RUNNING"
    away_for_a_moment(task)

    def attach(found: str, knit: Any) -> None:
        raise KnitError(f"attached to {found}")

    monkeypatch.setattr("knit_provider.dask.DaskYARNCluster.from_application_id", attach)
    with pytest.raises(KnitError, match=f"attached to {app_id}"):
        operator(task, "dask").execute(task.context)
    assert task.cluster.did("submit") == [app_id]


def test_clearing_a_running_task_ends_its_application_first(task: Task) -> None:
    app_id = died(task, "RUNNING")
    task.ti.max_tries = 2
    new = task.run()
    assert new != app_id
    assert task.cluster.states[app_id] == "KILLED"
    assert task.cluster.calls.index(("kill", app_id)) < task.cluster.calls.index(("submit", new))


@pytest.mark.parametrize("kind", ["command", "dask"])
def test_no_second_one_starts_while_the_cleared_one_does_not_end(
    task: Task, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_id = died(task, "RUNNING")
    task.ti.max_tries = 2
    monkeypatch.setattr(task.cluster, "kill", lambda app_id: False)
    with pytest.raises(KnitError, match=f"{app_id} does not end"):
        operator(task, kind).execute(task.context)
    assert task.cluster.did("submit") == []
    assert task.store.get("knit_application")["app_id"] == app_id


@BOTH
def test_a_kill_that_lands_after_the_new_try_attached_is_answered_once(task: Task, deferrable: bool) -> None:
    app_id = died(task, "RUNNING")
    task.cluster.on_report = lambda asked: (
        task.cluster.states.update({app_id: "KILLED"}) if task.ti.xcoms and asked == app_id else None
    )
    new = task.run(deferrable=deferrable)
    assert new != app_id
    assert task.cluster.did("submit") == [new]
    assert task.ti.xcoms["app_id"] == new


# -- being killed -------------------------------------------------------------------------------------------------


def sigterm_while_running(task: Task, **arguments: Any) -> None:
    """Run a try, and let SIGTERM's handler call on_kill in the midst of the wait, as Airflow does."""
    task.cluster.outcome = "RUNNING"
    previous = signal.signal(signal.SIGTERM, lambda _signal, _frame: task.operator.on_kill())
    main = threading.main_thread().ident
    assert main is not None
    task.cluster.on_submit = lambda _id: threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGTERM)).start()
    try:
        task.run(poll_interval=60, **arguments)
    finally:
        signal.signal(signal.SIGTERM, previous)


@pytest.mark.timeout(20)
def test_on_kill_ends_the_application_and_the_wait(task: Task) -> None:
    with pytest.raises(ApplicationKilled, match="stopped"):
        sigterm_while_running(task)
    (app_id,) = task.cluster.did("submit")
    assert task.cluster.states == {app_id: "KILLED"}


@pytest.mark.timeout(20)
def test_on_kill_may_keep_the_application(task: Task) -> None:
    with pytest.raises(ApplicationKilled, match="goes on"):
        sigterm_while_running(task, on_kill_action="keep")
    (app_id,) = task.cluster.did("submit")
    assert task.cluster.states == {app_id: "RUNNING"}


def test_on_kill_during_the_submission_ends_what_it_brought(task: Task) -> None:
    task.cluster.outcome = "RUNNING"
    original = FakeKnit.submit

    def submit(self: FakeKnit, spec: Any, app_id: str, bound: bool) -> str:
        task.operator.on_kill()  # YARN does not know the id yet
        return original(self, spec, app_id, bound)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeKnit, "submit", submit)
        with pytest.raises(ApplicationKilled, match="while it was submitted"):
            task.run()
    (app_id,) = task.cluster.did("submit")
    assert task.cluster.states == {app_id: "KILLED"}
