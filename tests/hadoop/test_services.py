"""Applications of several services, restarts, attempts, and daemons that die."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ApplicationFailed, ApplicationMasterUnreachable
from tests.hadoop.eventually import eventually
from tests.hadoop.support import superuser


def spec(**services: dict[str, Any]) -> dict[str, Any]:
    return {"services": {n: {"resources": {"memory": 128, "vcores": 1}, **s} for n, s in services.items()}}


def outputs(knit: Knit) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for files in knit.logs().values():
        if files["service"]:
            found.setdefault(files["service"], []).append(str(files.get("stdout", "")).strip())
    return found


def master_process(app_id: str) -> psutil.Process:
    # A container id has an epoch in it once the ResourceManager was restarted.
    number = app_id.removeprefix("application_")
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "io.knitprovider.am.ApplicationMasterMain" in line and number in process.environ().get("CONTAINER_ID", ""):
            return process
    raise AssertionError(f"no ApplicationMaster of {app_id} runs")


def test_services_start_after_what_they_depend_on(knit: Knit) -> None:
    # More than there is room for, so that the last of the first service starts when another of it has ended. And named
    # last: YARN serves an application's earlier services first.
    api = knit.connection.api
    size = api.max_allocation()["memory-mb"] * 3 // 4
    instances = sum(int(n["usedMemoryMB"]) + int(n["availMemoryMB"]) for n in api.nodes()) // size + 1
    knit.submit(
        spec(
            second={"script": "date +%s%N", "depends_on": ["first"]},
            first={
                "script": "sleep 2; date +%s%N",
                "instances": instances,
                "resources": {"memory": size, "vcores": 1},
            },
        )
    )
    assert knit.wait_for_completion(120), knit.status()["diagnostics"]
    out = outputs(knit)
    assert len(out["first"]) == instances
    assert min(map(int, out["first"])) < int(out["second"][0])


def test_failures_are_replaced_up_to_the_limit(knit: Knit) -> None:
    once = 'echo run; [ -e "{flag}" ] || {{ touch "{flag}"; exit 9; }}'
    flag = f"/tmp/knit-test-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        knit.submit(spec(w={"script": once.format(flag=flag), "max_restarts": 1}))
        assert knit.wait_for_completion(120), knit.status()["diagnostics"]
        assert outputs(knit)["w"] == ["run", "run"]
    finally:
        if os.path.exists(flag):
            os.unlink(flag)


def test_one_failure_more_than_allowed_fails_it(knit: Knit) -> None:
    knit.submit(spec(w={"script": "exit 9", "max_restarts": 1}, other={"script": "sleep 300"}))
    with pytest.raises(ApplicationFailed) as caught:
        knit.application().wait(120)
    assert caught.value.exit_code == 9
    entry = knit.application().ledger()
    assert entry is not None
    assert entry.outcome is not None
    assert sorted(c.service for c in entry.outcome.containers if c.exit_code == 9) == ["w", "w"]


def test_allowed_failures_do_not_fail_it(knit: Knit) -> None:
    knit.submit(spec(shaky={"script": "exit $KNIT_INDEX", "instances": 3, "allow_failures": True}))
    assert knit.wait_for_completion(120), knit.status()["diagnostics"]


def test_an_empty_service_stays_if_told_to(knit: Knit) -> None:
    knit.submit(spec(w={"script": "sleep 300", "instances": 0, "when_empty": "stay"}))
    app = knit.application()
    eventually(lambda: app.state == "RUNNING")
    app.scale("w", 2)
    eventually(lambda: app.services()["w"]["running"] == 2)
    app.scale("w", 0)
    eventually(lambda: app.services()["w"]["running"] == 0)
    assert app.state == "RUNNING"
    app.shutdown()
    assert app.wait(60).succeeded


def test_a_master_script_ends_it(knit: Knit, marker: str) -> None:
    document = spec(w={"script": "sleep 300"})
    document["master"] = {"script": f"echo {marker}; sleep 2; exit 5"}
    knit.submit(document)
    with pytest.raises(ApplicationFailed):
        knit.application().wait(120)
    assert any(marker in str(text) for files in knit.logs().values() for text in files.values())


def test_a_memory_hog_is_named(knit: Knit) -> None:
    hog = "x = b'x' * (400 << 20)\nimport time; time.sleep(60)"
    knit.start(["python3", "-c", hog], memory=128)
    with pytest.raises(ApplicationFailed, match=r"(?i)memory"):
        knit.application().wait(120)


def test_the_second_attempt_runs_nothing_again(knit: Knit, cluster: LocalCluster, tmp_path: Path) -> None:
    flag, stop = tmp_path / "flag", tmp_path / "stop"
    script = f'echo "$KNIT_INDEX $$" >> {flag}; until [ -e {stop} ] || [ -e {stop}.$KNIT_INDEX ]; do sleep 0.2; done'
    document = spec(w={"script": script, "instances": 3})
    document["max_attempts"] = 2
    app_id = knit.submit(document)
    app = knit.application()
    eventually(lambda: app.services()["w"]["running"] == 3)
    before = sorted(c["id"] for c in app.containers())
    eventually(lambda: flag.exists() and len(flag.read_text().splitlines()) == 3)
    # The ResourceManager keeps what it knows to run, and it hears that with the nodes' next heartbeats.
    threading.Event().wait(2.5)
    # With its filesystem closed the next one registers, and hears of an end before it can read the journal.
    staging = urlsplit(knit.connection.paths.staging(app_id)).path
    superuser(cluster, "PUT", staging, "SETQUOTA", namespacequota=1)
    os.kill(master_process(app_id).pid, signal.SIGKILL)
    (tmp_path / "stop.0").touch()
    eventually(lambda: len(knit.yarn_api.app_attempts(app_id)) == 2 and app.state == "RUNNING", seconds=120)
    threading.Event().wait(2.5)
    superuser(cluster, "PUT", staging, "SETQUOTA", namespacequota=-1)

    def second() -> bool:
        # Between two attempts nobody answers.
        with contextlib.suppress(ApplicationMasterUnreachable):
            return bool(app.control().status()["attempt"] == 2)
        return False

    eventually(second, seconds=120)
    # It reads its predecessor's journal once it has registered.
    eventually(lambda: sorted(c["id"] for c in app.containers()) == before)
    eventually(lambda: app.services()["w"]["succeeded"] == 1)
    assert app.services()["w"]["running"] == 2
    stop.touch()
    assert app.wait(120).succeeded
    assert sorted(line.split()[0] for line in flag.read_text().splitlines()) == ["0", "1", "2"], "something ran twice"


def test_a_spec_may_name_another_user(knit: Knit) -> None:
    document = spec(w={"script": "echo $HADOOP_USER_NAME"})
    knit.submit({**document, "user": "bob"})
    assert knit.status()["user"] == "bob"
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    assert outputs(knit)["w"] == ["bob"]


def test_an_application_outlives_the_resource_manager(knit: Knit, cluster: LocalCluster, marker: str) -> None:
    knit.start(f"sleep 15; echo {marker}")
    eventually(lambda: knit.runtime_status() == "RUNNING")
    daemon = cluster.daemons["resourcemanager"]
    daemon.kill(signal.SIGKILL)
    daemon.start()
    cluster.wait_ready()
    assert knit.wait_for_completion(180), knit.status()["diagnostics"]
    assert any(marker in str(f.get("stdout", "")) for f in knit.logs().values())
