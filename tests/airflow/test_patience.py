"""What a wait puts up with on a real cluster, on a worker and in the triggerer alike: no ResourceManager, no room."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.operators.knit import KnitStartOperator
from knit_provider.triggers.knit import ENDED, PENDING, KnitTrigger
from knit_provider.yarn.errors import ApplicationKilled
from tests.airflow.conftest import Applications
from tests.hadoop.eventually import eventually


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster, yarn_connection: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps(yarn_connection))
    monkeypatch.setenv("HADOOP_HOME", str(cluster.hadoop_home))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def fire(trigger: KnitTrigger) -> Any:
    """What a trigger says, as a triggerer of its own hears it."""

    async def first() -> Any:
        return (await anext(trigger.run())).payload

    return asyncio.run(first())


def test_a_resource_manager_that_dies_and_comes_back(
    cluster: LocalCluster,
    pool: ThreadPoolExecutor,
    applications: Applications,
    gate: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"patient-{uuid4().hex}"
    operator = KnitStartOperator(
        task_id="patient",
        app_name=name,
        command=f"while [ ! -e {gate} ]; do sleep 0.2; done; echo through the gate",
        poll_interval=1,
    )
    said = ""

    def lines(*, of: str = "") -> list[str]:
        nonlocal said
        said += capsys.readouterr().out
        return [line for line in said.splitlines() if "asking again" in line and of in line]

    waits = pool.submit(operator.execute, {})
    (app,) = eventually(lambda: applications(name, "RUNNING"))
    app_id = app["id"]
    defers = pool.submit(fire, KnitTrigger(app_id, poll_interval=1))
    cluster.daemons["resourcemanager"].kill()
    try:
        # The operator names the application, the trigger has one line for all that it waits for.
        eventually(lambda: lines(of=app_id) and len(lines()) > len(lines(of=app_id)))
    finally:
        cluster.daemons["resourcemanager"].start()
        cluster.wait_ready()
    gate.touch()
    assert waits.result(120) == app_id
    event = defers.result(120)
    assert (event["event"], event["final_status"]) == (ENDED, "SUCCEEDED")
    assert [a["id"] for a in applications(name)] == [app_id]
    lines()
    assert said.count("through the gate") == 1


def test_no_room_for_longer_than_pending_timeout(
    cluster: LocalCluster, pool: ThreadPoolExecutor, applications: Applications, knit: Knit
) -> None:
    name = f"pends-{uuid4().hex}"

    def start(**arguments: Any) -> Any:
        return KnitStartOperator(task_id="t", app_name=name, command="true", poll_interval=1, **arguments).execute({})

    for node in cluster.nodes:
        # It says nothing any more, so nothing is placed there.
        node.kill(signal.SIGSTOP)
    try:
        defers = pool.submit(fire, KnitTrigger(start(wait_for_completion=False), poll_interval=1, pending_timeout=2))
        with pytest.raises(ApplicationKilled, match=r"ACCEPTED in queue root\.default .*pending_timeout is 2 s"):
            start(pending_timeout=2)
        event = defers.result(60)
        assert event["event"] == PENDING
        assert "pending_timeout is 2 s" in event["message"]
        assert [a["state"] for a in applications(name)] == ["KILLED"] * 2
    finally:
        for node in cluster.nodes:
            node.kill(signal.SIGCONT)
