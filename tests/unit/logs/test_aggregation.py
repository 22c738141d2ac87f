"""How long aggregated logs are waited for, and how they are fetched."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knit_provider.yarn.bridge.base import AggregatedContainer, AggregatedFile
from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.logs import aggregated
from knit_provider.yarn.logs.aggregated import aggregated_logs, wait_for_aggregation
from knit_provider.yarn.report import ApplicationReport

APP = SimpleNamespace(id="application_1_0001")
REPORT = ApplicationReport(id=APP.id, state="FINISHED", user="alice")


@pytest.mark.parametrize(
    ("link", "had_container", "waited"), [("http://node/logs", False, True), ("", True, True), ("", False, False)]
)
def test_an_application_that_had_a_container_is_waited_for(link: str, had_container: bool, waited: bool) -> None:
    """A gateway blanks the link to the ApplicationMaster's log, so the link alone does not tell."""

    def report(status: str) -> ApplicationReport:
        return ApplicationReport(
            id="application_1_0001", state="FINISHED", log_aggregation=status, raw={"amContainerLogs": link}
        )

    app = SimpleNamespace(
        id="application_1_0001", report=lambda: report("SUCCEEDED"), had_container=lambda: had_container
    )
    found = wait_for_aggregation(app, report("NOT_START"), retries=3, delay=0)  # type: ignore[arg-type]
    assert (found.log_aggregation == "SUCCEEDED") == waited


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("status", "retries", "waited"),
    [("RUNNING", 20, 60), ("RUNNING", 40, 120), ("NOT_START", 20, 5), ("RUNNING", 0, 0)],
)
def test_what_is_under_way_is_waited_for_as_long_as_was_said(
    monkeypatch: pytest.MonkeyPatch, status: str, retries: int, waited: float
) -> None:
    """It is looked often at first, which must not use up the time."""
    clock = Clock()
    monkeypatch.setattr(aggregated, "time", clock)
    report = ApplicationReport(
        id=APP.id, state="FINISHED", log_aggregation=status, finished_ms=1000_000, raw={"amContainerLogs": "http://n"}
    )
    app = SimpleNamespace(id=APP.id, report=lambda: report)
    wait_for_aggregation(app, report, retries=retries, delay=3.0)  # type: ignore[arg-type]
    assert waited <= clock.now - 1000 < waited + 3


class Fetching:
    """A bridge with the logs of three containers, and what becomes of the copies."""

    def __init__(self, trouble: dict[str, Exception] | None = None) -> None:
        self.trouble = trouble or {}
        self.read: list[str] = []
        self.copies: list[Path] = []

    def aggregated_containers(self, *_: object) -> list[AggregatedContainer]:
        files = tuple(AggregatedFile(name, 3, "") for name in ("stdout", "knit-result.json"))
        return [AggregatedContainer(f"c{number}", "node:1", files) for number in range(3)]

    def read_aggregated(self, app_id: str, owner: str, container: Any, name: str, local: Path) -> int:
        self.read.append(f"{container.id}/{name}")
        if container.id in self.trouble:
            local.write_bytes(b"ha")
            raise self.trouble[container.id]
        assert not any(copy.exists() for copy in self.copies), "one at a time lies on this machine"
        self.copies.append(local)
        return local.write_bytes(b"has")


def fetched(bridge: Fetching, **how: Any) -> list[tuple[str, str, str]]:
    connection: Any = SimpleNamespace(bridge=bridge, user="alice")
    app: Any = APP
    with aggregated_logs(connection, app, REPORT, **how) as logs:
        return [(f.container_id, f.name, f.problem or f.path.read_text()) for f in logs.files]


def test_only_what_is_wanted_is_read() -> None:
    bridge = Fetching()
    assert [c for c, _, text in fetched(bridge, only="knit-result.json") if text == "has"] == ["c0", "c1", "c2"]
    assert bridge.read == [f"c{number}/knit-result.json" for number in range(3)]
    assert len(fetched(Fetching())) == 6


def test_one_that_cannot_be_read_leaves_the_others() -> None:
    found = fetched(Fetching({"c1": KnitError("damaged")}), only="stdout")
    assert [container for container, _, text in found if text == "has"] == ["c0", "c2"]
    assert "the log stdout of c1 could not be read: damaged" in found[1][2]


def test_nobody_who_is_gone_is_asked_for_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregated, "_FAILURES", 1)
    bridge = Fetching({f"c{number}": ClusterUnavailable("refused") for number in range(3)})
    found = fetched(bridge)
    assert len(found) == 6
    assert all("could not be read" in text for _, _, text in found)
    assert bridge.read == ["c0/stdout"]


def test_a_full_disk_is_an_error_of_ours_that_says_so() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(KnitError, match=r"(?i)no space left.*TMPDIR"):
        fetched(Fetching({"c0": full}))
