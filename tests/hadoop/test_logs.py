"""Logs: complete, in order, of every size, running and ended."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.yarn.logs import SpooledLog, collect, spool
from tests.hadoop.eventually import eventually

LINES = "import sys\nfor i in range({n}): print('line', i, 'x' * {pad})"


def test_ten_megabytes_arrive_whole(knit: Knit) -> None:
    knit.start(["python3", "-c", LINES.format(n=100_000, pad=90)])
    assert knit.wait_for_completion(120)
    text = next(str(f["stdout"]) for f in knit.logs().values() if f["service"])
    expected = "".join(f"line {i} {'x' * 90}\n" for i in range(100_000))
    assert len(expected) > 10_000_000
    assert hashlib.sha256(text.encode()).digest() == hashlib.sha256(expected.encode()).digest()


def test_what_is_too_large_for_memory_is_kept_on_disk(knit: Knit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SPOOL_BYTES", 1000)
    monkeypatch.setattr("knit_provider.yarn.logs.collection.SPOOL_BYTES", 1000)
    knit.start(["python3", "-c", LINES.format(n=100, pad=90)])
    assert knit.wait_for_completion(90)
    log = next(f["stdout"] for f in knit.logs().values() if f["service"])
    assert isinstance(log, SpooledLog)
    assert sum(1 for _ in log) == 100
    assert "line 99" in log
    assert log.tail(5).endswith("x\n")
    path = log.path
    del log
    assert not path.exists()


def test_following_says_everything_once_and_in_order(knit: Knit) -> None:
    code = "import time\nfor i in range(40):\n    print('line', i, 'żółw'); time.sleep(0.25)"
    knit.start(["python3", "-c", code], num_containers=2)
    said: dict[int | None, str] = {}
    states = []
    for chunk in knit.iter_logs(follow=True):
        if chunk.service and chunk.file == "stdout":
            said[chunk.index] = said.get(chunk.index, "") + chunk.text
            states.append(knit.runtime_status())
    assert "RUNNING" in states, "nothing was said while it ran"
    expected = "".join(f"line {i} żółw\n" for i in range(40))
    assert said == {0: expected, 1: expected}


def test_a_container_that_ended_early_keeps_its_log(knit: Knit, marker: str) -> None:
    knit.start(f"echo {marker}-$KNIT_INDEX; [ $KNIT_INDEX = 0 ] || sleep 20", num_containers=2)
    threading.Event().wait(8)
    live = {str(f.get("stdout", "")).strip() for f in knit.logs().values() if f["service"]}
    assert f"{marker}-0" in live or knit.runtime_status() != "RUNNING"
    assert knit.wait_for_completion(90)
    ended = {str(f.get("stdout", "")).strip() for f in knit.logs().values() if f["service"]}
    assert ended == {f"{marker}-0", f"{marker}-1"}


def test_shell_reads_only_what_is_aggregated(knit: Knit, marker: str, capsys: pytest.CaptureFixture[str]) -> None:
    knit.start(f"echo {marker}; echo oops >&2; echo extra > $(dirname $KNIT_RESULT)/other.log")
    assert knit.wait_for_completion(90)
    logs = knit.logs(shell=True)
    worker = next(f for f in logs.values() if f["service"])
    assert marker in str(worker["stdout"])
    assert "oops" in str(worker["stderr"])
    assert "extra" in str(worker["other.log"])
    knit.print_logs()
    printed = capsys.readouterr().out
    assert marker in printed
    assert "default[0]" in printed
    assert "ApplicationMaster" in printed


def test_logs_of_a_killed_application(knit: Knit, make_knit: Callable[..., Knit], marker: str) -> None:
    """Its ApplicationMaster has no time to say what it ran; the client that sees the end says it from the journal."""
    app_id = knit.start(f"echo {marker}; sleep 300")

    def said(by: Knit) -> list[tuple[object, object]]:
        logs = by.logs(app_id=app_id)
        return [(f["service"], f["index"]) for f in logs.values() if str(f.get("stdout", "")).strip() == marker]

    eventually(lambda: said(knit) == [("default", 0)])
    assert knit.kill()
    assert said(knit) == [("default", 0)]
    assert said(make_knit()) == [("default", 0)]
    entry = knit.application().ledger()
    assert entry is not None
    assert entry.outcome is not None
    assert entry.outcome.final_status == "KILLED"
    assert [(c.service, c.index) for c in entry.outcome.containers] == [("default", 0)]


def test_any_yarn_application(knit: Knit, marker: str, tmp_path: Path) -> None:
    """One that is not ours at all: a bare command in the ApplicationMaster's place."""
    api = knit.yarn_api
    app_id = api.session.request("POST", "cluster/apps/new-application", ok=(200,)).json()["application-id"]
    body = {
        "application-id": app_id,
        "application-name": "foreign",
        "application-type": "OTHER",
        "am-container-spec": {"commands": {"command": f"echo {marker} 1><LOG_DIR>/stdout"}},
        "resource": {"memory": 128, "vCores": 1},
        "max-app-attempts": 1,
    }
    api.session.request("POST", "cluster/apps", json=body, ok=(202,))
    app = knit.attach(app_id)
    report = app.wait_for_end(60)
    assert report.application_type == "OTHER"
    assert not report.succeeded
    assert any(marker in str(f.get("stdout", "")) for f in collect(knit.connection, app).values())
