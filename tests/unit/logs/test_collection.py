"""Logs that leave their node while they are read, a moment that no real cluster can be held in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from knit_provider.yarn.logs import collection
from knit_provider.yarn.logs.inventory import KnownContainer
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.rest.nodemanager import LogFile

APP = "application_1_0001"
ALICE = SimpleNamespace(user="alice")
CONTAINER = KnownContainer("container_1_0001_01_000002", "node:1", "node:2", "default", 0)


class App:
    """Runs at the first look and has ended at the second."""

    id = APP

    def __init__(self, *states: str) -> None:
        self.states = list(states)

    def report(self) -> ApplicationReport:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        app = {"id": APP, "state": state, "user": "alice", "logAggregationStatus": "SUCCEEDED"}
        return ApplicationReport.from_rm(app)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The node lists a file and no longer has it; gives what the cluster has aggregated, to be filled."""
    aggregated: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(collection, "known_containers", lambda *args: {CONTAINER.id: CONTAINER})
    monkeypatch.setattr(collection.live, "files", lambda *args: [LogFile("stdout", 5, "")])
    monkeypatch.setattr(collection.live, "read", lambda *args: None)
    monkeypatch.setattr(collection, "_from_aggregation", lambda *args: dict(aggregated))
    return aggregated


@pytest.mark.parametrize("states", [("RUNNING", "FINISHED"), ("FINISHED",)])
def test_they_are_fetched_from_where_they_went(nodes: dict[str, dict[str, Any]], states: tuple[str, ...]) -> None:
    nodes[CONTAINER.id] = {"id": CONTAINER.id, "stdout": "whole"}
    found = collection.collect(ALICE, App(*states), retries=0)  # type: ignore[arg-type]
    assert found[CONTAINER.id]["stdout"] == "whole"


def test_what_is_nowhere_yet_is_not_taken_for_empty(nodes: dict[str, dict[str, Any]]) -> None:
    found = collection.collect(ALICE, App("FINISHED"), retries=0)  # type: ignore[arg-type]
    assert "stdout" not in found[CONTAINER.id]
    assert "ask again" in found[CONTAINER.id]["problem"]
