"""Airflow keeps its hands off the home directory of who runs the tests; a cluster in memory and a task instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scratch import set_home

# Read when Airflow is first imported, so a fixture would come too late.
set_home("AIRFLOW_HOME")

if TYPE_CHECKING:
    from tests.unit.airflow.fakes import FakeCluster
    from tests.unit.airflow.trying import Task


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """What every hook talks to in this test."""
    pytest.importorskip("airflow.sdk")
    from knit_provider.hooks.knit import KnitHook
    from tests.unit.airflow.fakes import FakeCluster, FakeKnit

    made = FakeCluster()

    async def nothing(self: KnitHook) -> None:
        return

    monkeypatch.setattr(KnitHook, "new_conn", lambda self: FakeKnit(made))
    monkeypatch.setattr(KnitHook, "queue", "etl")
    monkeypatch.setattr(KnitHook, "deployment", None)
    monkeypatch.setattr(KnitHook, "aread_connection", nothing)
    monkeypatch.setattr(KnitHook, "cluster_key", str(id(made)))
    return made


@pytest.fixture
def task(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Task:
    """One task instance, whose triggers lose no time."""
    monkeypatch.setattr("knit_provider.triggers.knit.SHORTEST_POLL", 0.05)
    monkeypatch.setattr("knit_provider.triggers.knit.FIRST_EVENT_SECONDS", 0.0)
    from tests.unit.airflow.trying import Task

    return Task(cluster)
