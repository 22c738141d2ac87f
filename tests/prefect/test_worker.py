"""A worker of type ``yarn``: flow runs in containers, cancelled ones, and those that the cluster refuses."""

from __future__ import annotations

import re
import site
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.states import Cancelling, Running, Scheduled

from devtools.prefect_server import PrefectServer
from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.prefect import YarnCredentials, YarnWorker
from knit_provider.prefect.pool import YarnJobConfiguration, worker_tag
from tests.hadoop.eventually import eventually
from tests.hadoop.packed import pack
from tests.prefect.test_flows import example, said

ROOT = Path(__file__).resolve().parents[2]
POOL = "hadoop"


class WorkerProcess:
    """A worker of a pool that it makes itself; it may die and be started anew."""

    def __init__(self, server: PrefectServer, cluster: LocalCluster) -> None:
        self._server, self._cluster = server, cluster
        self.start()

    def start(self) -> None:
        command = self._server.command("worker", "start", "--pool", POOL, "--type", "yarn", "--name", "tester")
        self.process = self._server.spawn("worker", command, env=self._cluster.env())

    def die(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        self._server.end(self.process)


@pytest.fixture(scope="module")
def worker(server: PrefectServer, cluster: LocalCluster, credentials: YarnCredentials) -> Iterator[WorkerProcess]:
    process = WorkerProcess(server, cluster)
    yield process
    process.end()


@pytest.fixture(scope="module")
def deployment(client: SyncPrefectClient, worker: WorkerProcess) -> Any:
    """The example's deployment in that pool."""
    eventually(lambda: [pool for pool in client.read_work_pools() if pool.base_job_template], seconds=240)
    example("in_a_container").deploy(POOL)
    return client.read_deployment_by_name("where-am-i/on-yarn")


@pytest.fixture
def begin(client: SyncPrefectClient, deployment: Any, knit: Knit) -> Iterator[Callable[..., FlowRun]]:
    """Run the deployment; what a failed test leaves is killed."""
    made = []

    def make(**job_variables: Any) -> FlowRun:
        made.append(client.create_flow_run_from_deployment(deployment.id, job_variables=job_variables))
        return made[-1]

    yield make
    for flow_run in made:
        for app in knit.yarn_api.find(tags=[worker_tag(flow_run.id)], states=["ACCEPTED", "RUNNING"]):
            knit.kill(app["id"])


def _ended(client: SyncPrefectClient, flow_run: FlowRun) -> FlowRun:
    def look() -> FlowRun | None:
        now = client.read_flow_run(flow_run.id)
        return now if now.state is not None and now.state.is_final() else None

    ended: FlowRun = eventually(look, seconds=300)
    return ended


def test_a_flow_runs_in_a_container(begin: Any, client: SyncPrefectClient, knit: Knit, tmp_path: Path) -> None:
    # With Prefect really in it an archive has 100 MB; this one brings its own interpreter and looks for Prefect here.
    env = pack(tmp_path, "with-prefect", sees=site.getsitepackages())
    ended = _ended(client, begin(packed_env=str(env)))
    assert ended.state_name == "Completed"
    (app,) = knit.yarn_api.find(tags=[worker_tag(ended.id)])
    assert ended.infrastructure_pid == app["id"]
    # Its container's id holds the application's numbers, and what comes before them differs.
    hello = re.compile(rf"hello from container_\w*{app['id'].partition('_')[2]}_01_000002")
    eventually(lambda: hello.search(said(client, ended.id)))
    eventually(lambda: knit.status(app["id"])["finalStatus"] == "SUCCEEDED")
    assert app["user"] == "alice"


def test_cancelling_a_flow_run_ends_its_application(begin: Any, client: SyncPrefectClient, knit: Knit) -> None:
    # A command that Prefect's own runner is no part of, as where a flow does not let itself be stopped.
    flow_run = begin(command="exec sleep 600", cancel_grace_seconds=0)
    (app,) = eventually(lambda: knit.yarn_api.find(tags=[worker_tag(flow_run.id)], states=["RUNNING"]))
    client.set_flow_run_state(flow_run.id, Cancelling())
    eventually(lambda: knit.runtime_status(app["id"]) == "KILLED")
    assert _ended(client, flow_run).state_name == "Cancelled"
    assert len(knit.yarn_api.find(tags=[worker_tag(flow_run.id)])) == 1


def test_a_template_beyond_the_queue_s_maximum_crashes_and_says_why(
    begin: Any, client: SyncPrefectClient, knit: Knit
) -> None:
    ended = _ended(client, begin(memory="1 TiB"))
    assert ended.state_name == "Crashed"
    assert ended.state is not None
    assert "1048576 MiB" in str(ended.state.message)
    assert knit.yarn_api.find(tags=[worker_tag(ended.id)]) == []


def test_a_flow_run_that_is_scheduled_anew_has_one_application_and_crashes_with_it(
    begin: Any, client: SyncPrefectClient, knit: Knit
) -> None:
    flow_run = begin(command="exec sleep 600")

    def running() -> list[str]:
        return [app["id"] for app in knit.yarn_api.find(tags=[worker_tag(flow_run.id)], states=["RUNNING"])]

    (first,) = eventually(running)
    client.set_flow_run_state(flow_run.id, Scheduled(), force=True)
    eventually(lambda: knit.runtime_status(first) == "KILLED")
    (second,) = eventually(running)
    assert client.read_flow_run(flow_run.id).infrastructure_pid == second
    knit.kill(second)
    assert _ended(client, flow_run).state_name == "Crashed"
    assert len(knit.yarn_api.find(tags=[worker_tag(flow_run.id)])) == 2


def test_a_worker_in_place_of_one_that_died_watches_what_that_left(
    begin: Any, worker: WorkerProcess, client: SyncPrefectClient, knit: Knit
) -> None:
    runs = [begin(command="exec sleep 600", memory=128, cancel_grace_seconds=0) for _ in range(3)]

    def running(flow_run: FlowRun) -> str | None:
        found = knit.yarn_api.find(tags=[worker_tag(flow_run.id)], states=["RUNNING"])
        return str(found[0]["id"]) if found else None

    apps = eventually(lambda: all(found := [running(flow_run) for flow_run in runs]) and found, seconds=200)
    for flow_run in runs:
        # As a flow's own process does when it begins.
        client.set_flow_run_state(flow_run.id, Running(), force=True)
    worker.die()
    knit.kill(apps[0])
    worker.start()
    (ended_meanwhile, ends_later, cancelled) = runs
    assert _ended(client, ended_meanwhile).state_name == "Crashed"
    assert knit.runtime_status(apps[1]) == "RUNNING"
    knit.kill(apps[1])
    client.set_flow_run_state(cancelled.id, Cancelling())
    assert _ended(client, ends_later).state_name == "Crashed"
    assert _ended(client, cancelled).state_name == "Cancelled"
    assert knit.runtime_status(apps[2]) == "KILLED"
    for flow_run, app_id in zip(runs, apps, strict=True):
        assert [app["id"] for app in knit.yarn_api.find(tags=[worker_tag(flow_run.id)])] == [app_id]


def test_infrastructure_that_is_gone_is_reported_so(credentials: YarnCredentials, knit: Knit) -> None:
    worker = YarnWorker(work_pool_name=POOL)
    here = YarnJobConfiguration(credentials=credentials)
    app_id = knit.start("sleep 600")
    anyio.run(worker.kill_infrastructure, app_id, here)
    assert knit.runtime_status(app_id) == "KILLED"
    for gone in (app_id, "application_1_0001", "no id"):
        with pytest.raises(InfrastructureNotFound):
            anyio.run(worker.kill_infrastructure, gone, here)
    away = YarnJobConfiguration(credentials=YarnCredentials(host="127.0.0.1", port=1, login="alice"))
    with pytest.raises(InfrastructureNotAvailable):
        anyio.run(worker.kill_infrastructure, app_id, away)
