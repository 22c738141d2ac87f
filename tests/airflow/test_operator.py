"""The operator and the hook on a real cluster, without an Airflow around them: what a DAG author tries first."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from knit_provider import Knit
from knit_provider.hooks.knit import KnitHook
from knit_provider.localcluster import LocalCluster
from knit_provider.operators.knit import KnitKillOperator, KnitLogsOperator, KnitStartOperator, KnitWaitOperator
from knit_provider.sensors.knit import KnitSensor
from knit_provider.yarn.errors import ApplicationFailed
from tests.hadoop.eventually import eventually
from tests.hadoop.support import submit_shell


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster, yarn_connection: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps(yarn_connection))
    monkeypatch.setenv("HADOOP_HOME", str(cluster.hadoop_home))


def test_execute_returns_the_id_and_logs_what_containers_say(capsys: pytest.CaptureFixture[str], knit: Knit) -> None:
    operator = KnitStartOperator(
        task_id="greet", command='echo "hello from $KNIT_INDEX $WHO"', num_containers=2, envvars={"WHO": "alice"}
    )
    app_id = operator.execute({})
    assert knit.status(app_id)["finalStatus"] == "SUCCEEDED"
    said = capsys.readouterr().out  # where Airflow logs outside of a task run
    assert "hello from 0 alice" in said
    assert "hello from 1 alice" in said
    assert knit.status(app_id)["name"] == "greet"


def test_a_failure_names_container_and_code(knit: Knit) -> None:
    operator = KnitStartOperator(task_id="fail", command=["sh", "-c", "echo no luck >&2; exit 7"], get_logs=False)
    with pytest.raises(ApplicationFailed, match="no luck") as caught:
        operator.execute({})
    assert caught.value.exit_code == 7


def test_what_the_cluster_would_refuse_is_not_retried(knit: Knit) -> None:
    before = set(knit.yarn_api.apps)
    for wrong in ({"yarn_queue": "no-such-queue"}, {"memory": "1 TiB"}):
        with pytest.raises(AirflowFailException):
            KnitStartOperator(task_id="refused", command="date", **wrong).execute({})
    assert set(knit.yarn_api.apps) == before


def test_the_lifetime_reaches_yarn_and_on_kill_the_application(knit: Knit) -> None:
    operator = KnitStartOperator(task_id="brief", command="sleep 600", lifetime="1 h", wait_for_completion=False)
    app_id = operator.execute({})
    # By REST, it is told as soon as the application runs.
    eventually(lambda: int(knit.yarn_api.app_timeouts(app_id)["LIFETIME"]["remainingTimeInSeconds"]) > 0)
    assert 3000 < int(knit.yarn_api.app_timeouts(app_id)["LIFETIME"]["remainingTimeInSeconds"]) <= 3600
    operator.on_kill()
    assert knit.wait_for_completion(timeout=30, app_id=app_id) is False
    assert knit.runtime_status(app_id) == "KILLED"


def test_the_hook_asks_and_kills_without_a_jvm(knit: Knit, monkeypatch: pytest.MonkeyPatch) -> None:
    app_id = knit.start("sleep 600")
    hook = KnitHook()
    monkeypatch.setattr("knit_provider.yarn.bridge.jvm.JvmBridge.__init__", _no_jvm)
    assert hook.report(app_id).state in ("ACCEPTED", "RUNNING")
    assert hook.kill(app_id) is True
    assert hook.report(app_id).state == "KILLED"
    good, said = hook.test_connection()
    assert good, said


def _no_jvm(*_: Any, **__: Any) -> None:
    raise AssertionError("a JVM was started")


def test_the_test_button_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch, yarn_connection: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps({"conn_type": "yarn", "host": "127.0.0.1", "port": 1}))
    good, said = KnitHook("nowhere").test_connection()
    assert not good
    assert "127.0.0.1:1" in said
    conf = {"fs.defaultFS": "hdfs://127.0.0.1:1", "dfs.namenode.http-address": "127.0.0.1:1"}
    extra = {**yarn_connection["extra"], "hadoop_conf": conf}
    monkeypatch.setenv("AIRFLOW_CONN_NO_HDFS", json.dumps({**yarn_connection, "extra": extra}))
    good, said = KnitHook("no_hdfs").test_connection()
    assert not good
    assert "127.0.0.1:1" in said


def test_applications_of_any_type_are_waited_for_shown_and_ended(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    # YARN calls it FAILED whatever it does: it is a bare command in the ApplicationMaster's place.
    app_id = submit_shell(cluster, "echo the driver was here; exit 3", app_type="SPARK")
    with pytest.raises(ApplicationFailed, match=app_id):
        KnitWaitOperator(task_id="wait", app_id=app_id, poll_interval=1).execute({})
    assert "the driver was here" in capsys.readouterr().out
    assert KnitSensor(task_id="sense", app_id=app_id, target_states=["FAILED"]).execute({}) == "FAILED"
    KnitLogsOperator(task_id="logs", app_id=app_id).execute({})
    assert "the driver was here" in capsys.readouterr().out
    endless = submit_shell(cluster, "sleep 600", app_type="SPARK")
    assert KnitSensor(task_id="sense", app_id=endless, target_states=["ACCEPTED"]).execute({}) == "ACCEPTED"
    assert KnitKillOperator(task_id="kill", app_id=endless).execute({}) is True
    assert KnitKillOperator(task_id="kill", app_id=app_id).execute({}) is False


def test_below_airflow_3_3_a_retry_finds_its_application_by_its_tag(
    monkeypatch: pytest.MonkeyPatch, yarn_connection: dict[str, Any]
) -> None:
    extra = {**yarn_connection["extra"], "deployment": "tests"}
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps({**yarn_connection, "extra": extra}))
    ti = SimpleNamespace(dag_id="d", run_id=uuid4().hex, task_id="t", map_index=-1, max_tries=1, start_date=None)
    ti.xcom_push = lambda key, value: None
    first = KnitStartOperator(task_id="t", command="sleep 3", wait_for_completion=False).execute({"ti": ti})
    assert KnitStartOperator(task_id="t", command="sleep 3", poll_interval=1).execute({"ti": ti}) == first
    ti.max_tries += 1  # a person cleared it
    assert KnitStartOperator(task_id="t", command="true", poll_interval=1).execute({"ti": ti}) != first
