"""Logs that leave their node while they are read, a moment that no real cluster can be held in."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knit_provider.yarn.bridge.base import AggregatedContainer, AggregatedFile
from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.logs import collection, results, stream
from knit_provider.yarn.logs.inventory import KnownContainer
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.rest.nodemanager import LogFile

streaming = sys.modules["knit_provider.yarn.logs.stream"]

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


class Cluster:
    """An application that has ended, whose node answers that it does not know its container."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: str, kind: str = "knit") -> None:
        self.status, self.kind = status, kind
        self.aggregated: list[AggregatedContainer] = []
        self.listed: list[LogFile] = []
        self.waits: list[int] = []
        bridge = SimpleNamespace(aggregated_containers=lambda *_: self.aggregated, read_aggregated=self._read)
        self.connection: Any = SimpleNamespace(user="alice", bridge=bridge)
        self.app: Any = SimpleNamespace(id=APP, report=self.report)
        for module in (collection, streaming):
            monkeypatch.setattr(module, "known_containers", lambda *_: {MASTER.id: MASTER, CONTAINER.id: CONTAINER})
            monkeypatch.setattr(module, "wait_for_aggregation", self._wait)
            monkeypatch.setattr(module.live, "files", lambda *_: list(self.listed))
        self.meanwhile = lambda: None
        self.collect("master", MASTER)

    def report(self) -> ApplicationReport:
        app = {"id": APP, "state": "FINISHED", "finalStatus": "SUCCEEDED", "user": "alice"}
        return ApplicationReport.from_rm({**app, "logAggregationStatus": self.status, "applicationType": self.kind})

    def collect(self, text: str, container: KnownContainer = CONTAINER) -> None:
        """The cluster gets a container's logs."""
        self.text = text
        files = tuple(AggregatedFile(name, len(text), "") for name in ("stdout", "knit-result.json"))
        self.aggregated.append(AggregatedContainer(container.id, container.node, files))

    def _wait(self, app: Any, report: ApplicationReport, retries: int, delay: float) -> ApplicationReport:
        self.waits.append(retries)
        if len(self.waits) == 2:
            self.meanwhile()
        return self.report()

    def _read(self, app_id: str, owner: str, container: Any, name: str, local: Path) -> int:
        return local.write_bytes(self.text.encode())


MASTER = KnownContainer("container_1_0001_01_000001", "node:1", "node:2")


def test_logs_that_are_on_their_way_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that has handed its logs over answers as if it had never known the container."""
    cluster = Cluster(monkeypatch, "RUNNING")
    found = collection.collect(cluster.connection, cluster.app)
    assert "says RUNNING" in found[CONTAINER.id]["problem"]
    assert "problem" not in found[MASTER.id]
    assert len(cluster.waits) == 2, "it is asked again after the nodes"
    with pytest.raises(ClusterUnavailable, match=rf"what {CONTAINER.id} wrote .* is not known"):
        results(cluster.connection, cluster.app)
    with pytest.raises(KnitError, match=rf"says RUNNING.*{CONTAINER.id}"):
        list(stream(cluster.connection, cluster.app))
    assert "says RUNNING" in collection.collect(cluster.connection, cluster.app, shell=True)[CONTAINER.id]["problem"]


def test_logs_that_come_while_the_nodes_are_read_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (results, lambda *to: "".join(c.text for c in stream(*to) if c.container_id == CONTAINER.id)):
        cluster = Cluster(monkeypatch, "RUNNING")
        cluster.meanwhile = lambda cluster=cluster: cluster.collect("[7]")  # type: ignore[misc]
        assert read(cluster.connection, cluster.app) in ([7], "[7][7]")


@pytest.mark.parametrize("status", ["SUCCEEDED", "", "DISABLED"])
def test_a_container_that_has_no_logs_is_no_trouble_where_no_more_come(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    cluster = Cluster(monkeypatch, status)
    found = collection.collect(cluster.connection, cluster.app)
    assert ("problem" in found[CONTAINER.id]) == (status == "DISABLED")
    assert results(cluster.connection, cluster.app) is None
    assert {chunk.text for chunk in stream(cluster.connection, cluster.app)} == {"master"}


def test_of_other_applications_nobody_knows_which_containers_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, "TIME_OUT", kind="SPARK")
    cluster.collect("x")
    found = collection.collect(cluster.connection, cluster.app, shell=True)
    assert "containers may be missing" in str([entry.get("problem") for entry in found.values()])
    with pytest.raises(KnitError, match="says TIME_OUT"):
        list(stream(cluster.connection, cluster.app))


def test_a_replaced_containers_lost_logs_do_not_hide_what_its_successor_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, "FAILED")
    later = replace(CONTAINER, id="container_1_0001_01_000003")
    monkeypatch.setattr(collection, "known_containers", lambda *_: {c.id: c for c in (MASTER, CONTAINER, later)})
    cluster.collect("[7]", later)
    assert results(cluster.connection, cluster.app) == [7]


def test_a_container_that_has_not_begun_to_write_is_no_trouble(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection.live, "files", lambda *_: [])
    app: Any = App("RUNNING")
    connection: Any = ALICE
    assert "problem" not in collection.collect(connection, app)[CONTAINER.id]
