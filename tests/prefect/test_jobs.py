"""Blocks and tasks in runs of this process: retries, timeouts, bad input, and what is left on the cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect import flow, runtime, task
from prefect.client.orchestration import SyncPrefectClient

from knit_provider import Knit
from knit_provider.prefect import YarnCredentials, YarnJob, fetch_yarn_logs, kill_yarn_app, run_yarn_app, start_yarn_app
from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationKilled,
    CheckFailed,
    ClusterUnavailable,
    ConfigurationError,
    WaitTimeout,
)
from tests.hadoop.eventually import eventually

Applications = Callable[..., list[dict[str, Any]]]


class Broken(Exception):
    """What a task of these tests fails with."""


def test_a_saved_block_reaches_the_cluster_and_shows_no_secret(client: SyncPrefectClient, cluster: Any) -> None:
    host, _, port = cluster.rm_web.rpartition(":")
    conf = {"fs.defaultFS": "hdfs://nowhere:1", "fs.s3a.secret.key": "hidden-2"}
    YarnCredentials(host=f"{host}:{port}", user="alice", hadoop_conf=conf, keytab=None).save("whole", overwrite=True)
    loaded = YarnCredentials.load("whole")
    with loaded.get_client() as knit:
        assert knit.user == "alice"
        assert knit.yarn_api.cluster_info()["state"] == "STARTED"
        assert knit.conf["fs.s3a.secret.key"] == "hidden-2"
    secret = YarnCredentials(host=host, password="hidden-1", hadoop_conf=conf)
    secret.save("secret", overwrite=True)
    document = client.read_block_document_by_name("secret", "yarn-credentials", include_secrets=False)
    for text in (repr(secret), str(secret.model_dump_json()), str(document.data)):
        assert "hidden" not in text


def test_a_job_block_runs_outside_of_a_flow(credentials: YarnCredentials, knit: Knit) -> None:
    job = YarnJob(credentials=credentials, command='echo "[$KNIT_INDEX]" > "$KNIT_RESULT"; echo said', num_containers=2)
    run = pickle.loads(pickle.dumps(job.trigger()))
    assert run.wait_for_completion() == "SUCCEEDED"
    assert run.fetch_result() == [[0], [1]]
    assert [files["stdout"] for files in run.logs().values() if files.get("service")] == ["said\n"] * 2
    assert run.kill() is False
    assert knit.status(run.app_id)["name"] == "knit"


def test_a_retried_task_goes_on_with_its_application(
    credentials: YarnCredentials, applications: Applications, gate: Path
) -> None:
    seen = []

    @task(retries=2)
    def work() -> str:
        run = YarnJob(
            credentials=credentials, command=f"while [ ! -e {gate} ]; do sleep 0.1; done", app_name="retried"
        ).trigger()
        seen.append(run.app_id)
        if len(seen) < 3:
            if len(seen) == 2:
                gate.touch()
                run.wait_for_completion()
            raise Broken
        # By now it has succeeded: it is not run again.
        return run.wait_for_completion()

    @flow
    def retried() -> Any:
        return work(), runtime.flow_run.id

    outcome, flow_run_id = retried()
    assert outcome == "SUCCEEDED"
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert len(applications(flow_run_id)) == 1


def test_a_retried_flow_is_given_each_call_s_own_application(
    credentials: YarnCredentials, applications: Applications, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody comes for it here.
    monkeypatch.setattr("knit_provider.prefect.start.SIBLING_SECONDS", 2.0)
    seen: list[list[str]] = []

    @flow(retries=1)
    def retried() -> str:
        # One in the flow's body, and the same twice by tasks; the second one differs from try to try.
        ids = [YarnJob(credentials=credentials, command="sleep 600", app_name="body").trigger().app_id]
        ids += [start_yarn_app(credentials, "sleep 600", app_name="by-task") for _ in range(2)]
        ids += [start_yarn_app(credentials, f"sleep 60{len(seen)}", app_name="changed")]
        seen.append(ids)
        if len(seen) == 1:
            raise Broken
        return str(runtime.flow_run.id)

    flow_run_id = retried()
    first, second = seen
    assert len(set(first)) == 4
    assert second[0] == first[0]
    assert sorted(second[1:3]) == sorted(first[1:3])
    # Another job at the same place replaces the one that runs there.
    assert second[3] != first[3]
    assert sorted(a["id"] for a in applications(flow_run_id, "ACCEPTED", "RUNNING")) == sorted(second)
    assert [a["id"] for a in applications(flow_run_id, "KILLED")] == [first[3]]
    for app_id in second:
        assert kill_yarn_app.fn(credentials, app_id) is True


def test_reattach_false_ends_what_is_left_first(credentials: YarnCredentials, applications: Applications) -> None:
    seen = []

    @flow(retries=1)
    def anew() -> str:
        seen.append(start_yarn_app(credentials, "sleep 600", app_name="anew", reattach=False))
        if len(seen) == 1:
            raise Broken
        return str(runtime.flow_run.id)

    flow_run_id = anew()
    assert [a["id"] for a in applications(flow_run_id, "KILLED")] == seen[:1]
    assert [a["id"] for a in applications(flow_run_id, "ACCEPTED", "RUNNING")] == seen[1:]


def test_a_timeout_kills(credentials: YarnCredentials, knit: Knit) -> None:
    run = YarnJob(credentials=credentials, command="sleep 600", timeout_seconds=1.5).trigger()
    with pytest.raises(WaitTimeout, match=run.app_id):
        run.wait_for_completion()
    assert knit.runtime_status(run.app_id) == "KILLED"


def test_prefect_s_own_timeout_kills_and_gives_the_lifetime(
    credentials: YarnCredentials, applications: Applications, knit: Knit
) -> None:
    ids = []

    @flow(timeout_seconds=12)
    def too_long() -> None:
        ids.append(str(runtime.flow_run.id))
        YarnJob(credentials=credentials, command="sleep 600").trigger().wait_for_completion()

    with pytest.raises(TimeoutError):
        too_long()
    (app,) = applications(ids[0])
    assert app["state"] == "KILLED"


def test_a_cancelled_async_wait_kills(credentials: YarnCredentials, knit: Knit) -> None:
    async def wait() -> str:
        run = await YarnJob(credentials=credentials, command="sleep 600").atrigger()
        with anyio.move_on_after(2):
            await run.await_for_completion()
        return str(run.app_id)

    assert knit.runtime_status(anyio.run(wait)) == "KILLED"


def test_a_kill_from_outside_is_told(
    credentials: YarnCredentials, knit: Knit, applications: Applications, gate: Path
) -> None:
    job = YarnJob(credentials=credentials, command=f"touch {gate}; exec sleep 600", poll_interval_seconds=1)
    run = job.trigger()
    eventually(gate.exists)
    knit.kill(run.app_id)
    with pytest.raises(ApplicationKilled, match=run.app_id):
        run.wait_for_completion()


def test_a_failure_tells_container_code_and_last_words(credentials: YarnCredentials) -> None:
    with pytest.raises(ApplicationFailed, match="no luck") as caught:
        run_yarn_app(credentials, "echo no luck >&2; exit 7", app_name="fails")
    assert caught.value.exit_code == 7
    logs = fetch_yarn_logs.fn(credentials, caught.value.app_id, max_bytes=5)
    assert "luck\n" in [files.get("stderr") for files in logs.values()]


def test_bad_input_is_named_and_starts_nothing(credentials: YarnCredentials, knit: Knit, cluster: Any) -> None:
    before = set(knit.yarn_api.apps)
    with pytest.raises(CheckFailed, match="1048576 MiB"):
        YarnJob(credentials=credentials, command="date", memory="1 TiB").trigger()
    with pytest.raises(CheckFailed, match="no-such-queue"):
        YarnJob(credentials=credentials, command="date", yarn_queue="no-such-queue").trigger()
    with pytest.raises(ConfigurationError, match="virtual_cores"):
        start_yarn_app.fn(credentials, "date", virtual_cores=0)
    with pytest.raises(ConfigurationError, match="envvars"):
        start_yarn_app.fn(credentials, "date", env={"A": "1"})
    with pytest.raises(ConfigurationError, match="'nobody-saved-this'"):
        start_yarn_app.fn("nobody-saved-this", "date")
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:1"):
        YarnJob(credentials=YarnCredentials(host="127.0.0.1", port=1, login="alice"), command="date").trigger()
    assert set(knit.yarn_api.apps) == before
