"""Bound and detached life, the ledger, and ends that nobody waited for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ApplicationNotFound, KnitError
from tests.hadoop.eventually import eventually

OWNER = """
import sys, time
from knit_provider import Knit
k = Knit(user="alice", hadoop_conf_dir=sys.argv[1], hadoop_home=sys.argv[2], lease_seconds=12)
app_id = k.start("sleep 600", bound=sys.argv[3] == "bound")
print(app_id, flush=True)
time.sleep(600)
"""


def owner(cluster: LocalCluster, life: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(cluster.conf_dir), str(cluster.hadoop_home), life],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_bound_application_ends_with_its_killed_owner(knit: Knit, cluster: LocalCluster) -> None:
    process, app_id = owner(cluster, "bound")
    app = knit.attach(app_id)
    eventually(lambda: app.state == "RUNNING")
    process.send_signal(signal.SIGKILL)
    process.wait()
    report = app.wait_for_end(60)
    assert report.killed
    assert "lease" in report.diagnostics


def test_a_detached_application_outlives_its_killed_owner(knit: Knit, cluster: LocalCluster) -> None:
    process, app_id = owner(cluster, "detached")
    app = knit.attach(app_id)
    eventually(lambda: app.state == "RUNNING")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert app.services()["default"]["target"] == 1
    assert app.state == "RUNNING"


def test_leaving_the_with_block_ends_what_it_started(make_knit: Callable[..., Knit], knit: Knit) -> None:
    with make_knit() as inside:
        app_id = inside.start("sleep 300")
        assert inside.application().bound
    assert knit.attach(app_id).wait_for_end(30).killed


def test_detach_lets_it_live(make_knit: Callable[..., Knit], knit: Knit) -> None:
    with make_knit(lease_seconds=10) as inside:
        app_id = inside.start("sleep 300")
        inside.application().detach()
    app = knit.attach(app_id)
    assert app.state == "RUNNING"
    assert app.control().status()["bound"] is False
    port = app.report().am_port

    def connections() -> list[Any]:
        return [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == port]

    assert connections()
    assert app.kill()
    assert not connections(), "who starts many has one of each of them in the end"


def test_renewal_keeps_a_bound_application(make_knit: Callable[..., Knit]) -> None:
    with make_knit(lease_seconds=20) as inside:
        inside.start("sleep 24")
        assert inside.wait_for_completion(90), inside.status()["diagnostics"]


def test_ctrl_c_in_a_wait_leaves_a_detached_application(knit: Knit, cluster: LocalCluster) -> None:
    code = OWNER.replace("time.sleep(600)", "k.wait_for_completion(600)")
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(cluster.conf_dir), str(cluster.hadoop_home), "detached"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    app_id = process.stdout.readline().strip()
    app = knit.attach(app_id)
    eventually(lambda: app.state == "RUNNING")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert f"knit kill {app_id}" in err
    assert app.state == "RUNNING"


def test_the_ledger_records_the_outcome(knit: Knit) -> None:
    knit.start("exit 7")
    assert not knit.wait_for_completion(90)
    entry = knit.application().ledger()
    assert entry is not None
    assert entry.outcome is not None
    assert entry.outcome.final_status == "FAILED"
    assert entry.outcome.exit_code == 7
    assert [c.service for c in entry.outcome.containers] == ["default"]


def test_what_the_resource_manager_forgot_is_no_failure(knit: Knit) -> None:
    connection = knit.connection
    forgotten, finished = "application_1000000000000_0001", "application_1000000000000_0002"
    started = {"version": 1, "submission_id": "x", "attempt": 1, "container_id": "c", "started_ms": 1, "outcome": None}
    outcome = {"final_status": "SUCCEEDED", "diagnostics": "", "exit_code": None, "finished_ms": 2, "containers": []}
    ledger = os.path.dirname(connection.paths.ledger(forgotten))
    files = {
        forgotten: json.dumps({**started, "application_id": forgotten}).encode(),
        finished: json.dumps({**started, "application_id": finished, "outcome": outcome}).encode(),
    }
    connection.files.write_many(ledger, files, overwrite=True)
    try:
        assert knit.attach(forgotten).state == "UNKNOWN"
        with pytest.raises(ApplicationNotFound, match="no failure"):
            knit.application(forgotten).wait(5)
        assert knit.attach(finished).wait(5).succeeded
        assert knit.wait_for_completion(5, app_id=finished)
        with pytest.raises(KnitError, match=forgotten):
            knit.start("true", app_id=forgotten)
        with pytest.raises(ApplicationNotFound):
            knit.connection.api.status(forgotten)
    finally:
        for app_id in files:
            connection.files.delete(connection.paths.ledger(app_id))


def test_a_second_submission_of_a_forgotten_id_runs_nothing(knit: Knit, marker: str) -> None:
    """Straight past our own look at the ledger, as a lost answer and a repeated request would go."""
    from knit_provider.yarn.submission import handing_over as module

    app_id = "application_1000000000000_0003"
    connection = knit.connection
    entry = {"version": 1, "application_id": app_id, "submission_id": "other", "attempt": 1, "container_id": "c"}
    files = {app_id: json.dumps({**entry, "started_ms": 1, "outcome": None}).encode()}
    connection.files.write_many(os.path.dirname(connection.paths.ledger(app_id)), files, overwrite=True)
    look = module.read_ledger
    module.read_ledger = lambda *_: None  # type: ignore[assignment]
    try:
        knit.start(f"echo {marker}", app_id=app_id, checks=False)
        report = knit.application().wait_for_end(90)
        assert not report.succeeded
        assert "already" in report.diagnostics
        assert not any(marker in str(f.get("stdout", "")) for f in knit.logs().values())
    finally:
        module.read_ledger = look
        connection.files.delete(connection.paths.ledger(app_id))


def test_a_try_that_died_before_it_submitted_is_in_nobodys_way(knit: Knit, make_knit: Callable[..., Knit]) -> None:
    """What it has staged stays, since it may live and submit yet; who attaches finds what controls the other."""
    app_id = knit.new_application()
    files, staging = knit.connection.files, knit.connection.paths.staging(app_id)
    left = dict.fromkeys(("spec.json", "control.json", "run-default.sh"), b"{}")
    files.write_many(staging, left)
    assert knit.start("sleep 600", app_id=app_id) == app_id
    other = make_knit().attach(app_id)
    assert other.scale("default", 2)["target"] == 2
    assert {name: files.read(f"{staging}/{name}") for name in left} == left
    assert knit.kill()
    eventually(lambda: files.status(staging) is None)
