"""Scaling, removing and looking at containers, from this process and from others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ConfigurationError, KnitError
from tests.hadoop.eventually import eventually


def workers(knit: Knit) -> list[dict[str, Any]]:
    return [c for c in knit.get_containers() if c["service"] is not None and c["state"] == "RUNNING"]


def test_containers_of_all_nodes_with_the_application_master(knit: Knit) -> None:
    knit.start("sleep 300", num_containers=6)
    eventually(lambda: len(workers(knit)) == 6)
    containers = knit.get_containers()
    assert len(containers) == 7
    assert len({c["nodeId"] for c in containers}) == 2, "both NodeManagers should have some"
    assert sum(c["service"] is None for c in containers) == 1
    assert sorted(c["index"] for c in containers if c["service"]) == list(range(6))
    for key in ("id", "state", "nodeId", "totalMemoryNeededMB", "user"):
        assert key in containers[0]
    statuses = knit.get_container_statuses()
    assert set(statuses) == {c["id"] for c in containers}
    assert set(statuses.values()) == {"RUNNING"}


def test_add_and_remove(knit: Knit) -> None:
    knit.start("sleep 300", num_containers=1)
    knit.add_containers(2, virtual_cores=1, memory=192)
    eventually(lambda: len(workers(knit)) == 3)
    assert sorted(c["totalMemoryNeededMB"] for c in workers(knit)) == [128, 192, 192]
    victim = workers(knit)[0]["id"]
    assert knit.remove_containers(victim) is None
    eventually(lambda: len(workers(knit)) == 2)
    assert victim not in knit.get_container_statuses()
    assert knit.application().services()["default"]["target"] == 2
    assert knit.runtime_status() == "RUNNING"
    with pytest.raises(KnitError, match="container_1_0001_01_000099"):
        knit.remove_containers("container_1_0001_01_000099")
    master = next(c["id"] for c in knit.get_containers() if c["service"] is None)
    with pytest.raises(KnitError, match="ApplicationMaster"):
        knit.remove_containers(master)
    assert knit.kill()


def test_removing_is_not_failing(knit: Knit) -> None:
    knit.start("sleep 6", num_containers=3)
    eventually(lambda: len(workers(knit)) == 3)
    knit.remove_containers([workers(knit)[0]["id"]])
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]


def test_scale_up_and_down(knit: Knit) -> None:
    knit.start("sleep 300", num_containers=2)
    app = knit.application()
    app.scale("default", 5)
    eventually(lambda: len(workers(knit)) == 5)
    app.scale("default", 1)
    eventually(lambda: len(workers(knit)) == 1)
    app.scale("default", 1)
    assert app.services()["default"]["target"] == 1
    with pytest.raises(ConfigurationError, match="instances"):
        app.scale("default", -1)
    with pytest.raises(KnitError, match="nowhere"):
        app.scale("nowhere", 1)


ATTACH = """
import json, sys
from knit_provider import Knit
k = Knit(user="alice", hadoop_conf_dir=sys.argv[1], autodetect=True)
app = k.attach(sys.argv[2])
app.scale("default", 3)
print(json.dumps({"state": k.runtime_status(), "target": app.services()["default"]["target"]}))
k.close()
"""


def test_another_process_attaches_by_id(knit: Knit, cluster: LocalCluster) -> None:
    app_id = knit.start("sleep 300")
    eventually(lambda: knit.runtime_status() == "RUNNING")
    other = subprocess.run(
        [sys.executable, "-c", ATTACH, str(cluster.conf_dir), app_id], capture_output=True, text=True, timeout=120
    )
    assert other.returncode == 0, other.stderr
    assert json.loads(other.stdout) == {"state": "RUNNING", "target": 3}
    eventually(lambda: len(workers(knit)) == 3)
    assert knit.runtime_status() == "RUNNING", "the other process's end must not end the application"


def test_another_user_cannot_control_it(knit: Knit, make_knit: Callable[..., Knit]) -> None:
    app_id = knit.start("sleep 300")
    eventually(lambda: knit.runtime_status() == "RUNNING")
    bob = make_knit(user="bob")
    app = bob.attach(app_id)
    with pytest.raises(KnitError, match="alice"):
        app.scale("default", 2)
    bob._applications.clear()


def test_progress_and_orderly_shutdown(knit: Knit) -> None:
    knit.start("sleep 300")
    app = knit.application()
    app.set_progress(0.25)
    eventually(lambda: abs(app.report().progress - 25) < 1)
    app.shutdown("SUCCEEDED", "enough seen")
    report = app.wait(60)
    assert report.succeeded
    assert "enough seen" in report.diagnostics


def test_live_logs_of_all_nodes(knit: Knit, marker: str) -> None:
    knit.start(f"echo {marker}-$KNIT_INDEX; sleep 300", num_containers=4)
    eventually(lambda: len(workers(knit)) == 4)

    def seen() -> set[str]:
        return {str(f.get("stdout", "")).strip() for f in knit.logs().values() if f["service"]}

    eventually(lambda: seen() == {f"{marker}-{i}" for i in range(4)})
    nodes = {f["nodeId"] for f in knit.logs().values()}
    assert len(nodes) == 2
