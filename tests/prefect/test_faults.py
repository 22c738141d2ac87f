"""What ends a flow's process, or the server behind it: after each there is one application or none, never two."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Scheduled

from devtools.prefect_server import PrefectServer
from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.prefect import YarnCredentials, run_yarn_app
from tests.hadoop.eventually import eventually

Applications = Callable[..., list[dict[str, Any]]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runner(server: PrefectServer, cluster: LocalCluster, credentials: YarnCredentials) -> Iterator[Any]:
    """A process that serves the flows of ``served_flows.py``, each run in a process of its own."""
    process = server.spawn(
        "runner", [sys.executable, str(Path(__file__).with_name("served_flows.py"))], cwd=ROOT, env=cluster.env()
    )
    yield process
    server.end(process)


@pytest.fixture
def begin(
    client: SyncPrefectClient, runner: Any, gate: Path, applications: Applications
) -> Callable[[str], tuple[FlowRun, str]]:
    """Run a served flow whose command waits for the gate; returns once its application runs."""

    def make(flow: str) -> tuple[FlowRun, str]:
        deployment = eventually(lambda: _deployment(client, f"{flow}/served"))
        command = f"while [ ! -e {gate} ]; do sleep 0.1; done; echo through the gate"
        flow_run = client.create_flow_run_from_deployment(deployment.id, parameters={"command": command})
        found = eventually(lambda: applications(flow_run.id, "RUNNING"), seconds=120)
        return flow_run, found[0]["id"]

    return make


def _deployment(client: SyncPrefectClient, name: str) -> Any:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _ended(client: SyncPrefectClient, flow_run: FlowRun, name: str) -> Any:
    """The flow run's state once it is of this name."""

    def look() -> Any:
        state = client.read_flow_run(flow_run.id).state
        assert state is not None
        return state if state.name == name else None

    return eventually(look, seconds=90)


def _process_of(runner: Any, flow_run: FlowRun) -> psutil.Process:
    for child in psutil.Process(runner.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(flow_run.id) in child.environ().get("PREFECT__FLOW_RUN_ID", ""):
                return child
    raise AssertionError(f"no process of flow run {flow_run.id}")


@pytest.mark.parametrize("flow", ["in-the-main-thread", "in-a-thread"])
def test_cancelling_the_flow_run_kills_its_application(
    flow: str, begin: Any, client: SyncPrefectClient, knit: Knit, applications: Applications
) -> None:
    flow_run, app_id = begin(flow)
    client.set_flow_run_state(flow_run.id, Cancelling())
    _ended(client, flow_run, "Cancelled")
    eventually(lambda: knit.runtime_status(app_id) == "KILLED")
    assert len(applications(flow_run.id)) == 1


def test_a_run_whose_process_died_goes_on_with_its_application(
    begin: Any, client: SyncPrefectClient, runner: Any, knit: Knit, applications: Applications, gate: Path
) -> None:
    flow_run, app_id = begin("in-the-main-thread")
    _process_of(runner, flow_run).send_signal(signal.SIGKILL)
    _ended(client, flow_run, "Crashed")
    assert knit.runtime_status(app_id) == "RUNNING"
    client.set_flow_run_state(flow_run.id, Scheduled(), force=True)
    eventually(lambda: client.read_flow_run(flow_run.id).run_count == 2, seconds=90)
    gate.touch()
    _ended(client, flow_run, "Completed")
    assert [app["id"] for app in applications(flow_run.id)] == [app_id]
    assert knit.status(app_id)["finalStatus"] == "SUCCEEDED"


def test_the_hook_kills_what_a_dead_process_left(
    begin: Any, client: SyncPrefectClient, runner: Any, knit: Knit, applications: Applications
) -> None:
    flow_run, app_id = begin("in-a-thread")
    _process_of(runner, flow_run).send_signal(signal.SIGKILL)
    _ended(client, flow_run, "Crashed")
    eventually(lambda: knit.runtime_status(app_id) == "KILLED")
    assert len(applications(flow_run.id)) == 1


def test_a_wait_outlives_a_restart_of_the_server(
    begin: Any,
    client: SyncPrefectClient,
    server: PrefectServer,
    knit: Knit,
    applications: Applications,
    gate: Path,
) -> None:
    flow_run, app_id = begin("in-the-main-thread")
    before = set(knit.yarn_api.apps)
    server.stop()
    # A run that begins now is told, and starts nothing.
    with pytest.raises(Exception, match=r"(?i)connect|reach"):
        run_yarn_app("yarn", "date", app_name="nobody-knows")
    assert set(knit.yarn_api.apps) == before
    server.start()
    gate.touch()
    _ended(client, flow_run, "Completed")
    assert [app["id"] for app in applications(flow_run.id)] == [app_id]
    assert knit.status(app_id)["finalStatus"] == "SUCCEEDED"
