"""Two ResourceManagers, of which the active one dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.bridge.jvm import JvmBridge
from knit_provider.yarn.errors import ClusterUnavailable
from tests.ha.takeover import becomes_active, kill_active
from tests.hadoop.eventually import eventually
from tests.hadoop.fronts import Front, front

RM, NN = "resourcemanager", "namenode"
KNIT = [sys.executable, "-c", "from knit_provider.cli.main import main; main(prog_name='knit')"]


def ids(cluster: LocalCluster, kind: str) -> dict[str, str]:
    """The standby's and the active one's id."""
    prefix = {RM: "rm", NN: "nn"}[kind]
    return {
        "standby": f"{prefix}{cluster.standby(kind).name[-1]}",
        "active": f"{prefix}{cluster.active(kind).name[-1]}",
    }


def web(cluster: LocalCluster, name: str) -> str:
    return cluster.plan.web_of(name)


def knit_command(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **cluster.env(), "HADOOP_USER_NAME": "alice"}
    return subprocess.run([*KNIT, *arguments], env=environment, capture_output=True, text=True, timeout=120)


def findings(cluster: LocalCluster) -> dict[str, tuple[bool, str]]:
    found = json.loads(knit_command(cluster, "doctor", "--json").stdout)
    return {one["what"]: (one["ok"], one["found"]) for one in found}


def test_status_and_doctor_say_who_is_active(ha_cluster: LocalCluster) -> None:
    shown = knit_command(ha_cluster, "cluster", "status", "--json", "--directory", str(ha_cluster.directory))
    details = {daemon["name"]: daemon["detail"] for daemon in json.loads(shown.stdout)["daemons"]}
    found = findings(ha_cluster)
    for kind, title in ((RM, "ResourceManagers"), (NN, "NameNodes")):
        active, standby = ha_cluster.active(kind).name, ha_cluster.standby(kind).name
        assert (details[active], details[standby]) == ("active", "standby")
        ok, words = found[title]
        assert ok, words
        assert f"http://{web(ha_cluster, active)} is active" in words
        assert f"http://{web(ha_cluster, standby)} is standby" in words


@pytest.mark.parametrize(
    ("bridge", "user"), [("rest", "alice"), ("rest", daemon_user()), ("jvm", "alice")], ids=["webhdfs", "native", "jvm"]
)
def test_the_standbys_may_be_listed_first(
    ha_cluster: LocalCluster, make_knit: Callable[..., Knit], user: str, tmp_path: Path
) -> None:
    lists = {
        "yarn.resourcemanager.ha.rm-ids": ",".join(ids(ha_cluster, RM).values()),
        "dfs.ha.namenodes.knit": ",".join(ids(ha_cluster, NN).values()),
    }
    knit = make_knit(user=user, pars=lists)
    assert knit.connection.session.addresses[0] == f"http://{web(ha_cluster, ha_cluster.standby(RM).name)}"
    knit.start(f"echo here; touch {tmp_path}/ran; sleep 300")
    eventually((tmp_path / "ran").exists)
    assert knit.status()["state"] == "RUNNING"
    eventually(lambda: any("here" in str(files.get("stdout", "")) for files in knit.logs().values()))
    assert knit.kill()
    assert any("here" in str(files.get("stdout", "")) for files in knit.logs(shell=True).values())


def test_an_application_outlives_the_active_one_and_then_both(
    ha_cluster: LocalCluster,
    knit: Knit,
    make_knit: Callable[..., Knit],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    command = f"echo once >> {tmp_path}/$KNIT_INDEX; while [ ! -e {tmp_path}/end ]; do sleep 0.2; done"
    app_id = knit.start(command, num_containers=2)
    gateway = make_knit(bridge="jvm").connection.bridge
    assert isinstance(gateway, JvmBridge)
    assert gateway.report(app_id)["application_id"] == app_id
    eventually(lambda: {"0", "1"} <= {path.name for path in tmp_path.iterdir()})
    before = sorted(one["id"] for one in knit.get_containers())

    standby = web(ha_cluster, ha_cluster.standby(RM).name)
    seen: list[tuple[bool, bool]] = []
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(knit.wait_for_completion, 300)
        with redirects(standby, seen):
            took = kill_active(
                ha_cluster,
                RM,
                {"rest": knit.status, "jvm": lambda: gateway.report(app_id), "containers": knit.get_containers},
            )
        record_property("after_the_takeover_of_yarn", took)
        print(f"\nafter the takeover of YARN, in seconds: {took}")
        # The real one's ways of saying that it is a standby: who is the active one, and that nobody is.
        assert set(seen) == {(True, False), (False, True)}, "(Location, Refresh) of its redirects"
        ok, words = findings(ha_cluster)["ResourceManagers"]
        assert not ok
        assert "refused the connection" in words
        eventually(lambda: sorted(one["id"] for one in knit.get_containers()) == before)

        # Nobody is left, and two that know nothing but what ZooKeeper keeps begin.
        ha_cluster.active(RM).kill()
        for daemon in ha_cluster.daemons.values():
            if not daemon.alive:
                daemon.start()
        becomes_active(ha_cluster, RM)
        eventually(lambda: sorted(one["id"] for one in knit.get_containers()) == before)
        assert knit.application().control().status()["attempt"] == 1
        assert len(knit.yarn_api.app_attempts(app_id)) == 1
        (tmp_path / "end").touch()
        assert ended.result(timeout=120), knit.status()["diagnostics"]
    assert [(tmp_path / name).read_text() for name in ("0", "1")] == ["once\n", "once\n"]


class redirects:
    """Notes which headers a ResourceManager's redirects have, while the block runs."""

    def __init__(self, address: str, seen: list[tuple[bool, bool]]) -> None:
        self._url = f"http://{address}/ws/v1/cluster/metrics"
        self._seen = seen
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self._thread.start()
        eventually(lambda: self._seen)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            answer = requests.get(self._url, timeout=30, allow_redirects=False)
            if answer.status_code == 307:
                self._seen.append(("Location" in answer.headers, "Refresh" in answer.headers))
            time.sleep(0.05)


def of_alice(knit: Knit) -> set[str]:
    return {str(app["id"]) for app in knit.yarn_api.find(user="alice")}


def test_the_active_one_dies_before_it_has_stored_a_submission(
    ha_cluster: LocalCluster, make_knit: Callable[..., Knit], tmp_path: Path
) -> None:
    active, standby = ha_cluster.active(RM), ha_cluster.standby(RM)
    before = of_alice(make_knit())
    killed = []

    def spoil(handler: Front, answer: requests.Response | None) -> bool:
        is_submission = handler.command == "POST" and handler.path.partition("?")[0].endswith("/cluster/apps")
        if not killed and (answer is not None or not is_submission):
            return False
        if not killed:
            killed.append(active.name)
            active.kill()
        handler.hang_up()
        return True

    with front(web(ha_cluster, active.name), spoil) as address:
        knit = make_knit(rm_addresses=[address, web(ha_cluster, standby.name)])
        app_id = knit.start(f"echo once >> {tmp_path}/ran")
        assert killed
        assert knit.wait_for_completion(120), knit.status()["diagnostics"]
        assert of_alice(knit) - before == {app_id}
    assert (tmp_path / "ran").read_text() == "once\n"


@pytest.mark.parametrize("bridge", ["jvm"])
def test_the_active_one_dies_as_soon_as_it_has_a_submission(
    ha_cluster: LocalCluster, knit: Knit, tmp_path: Path
) -> None:
    before = of_alice(knit)
    knit.connection.bridge.hello()
    active = ha_cluster.active(RM)
    told = active.log.stat().st_size
    stop = threading.Event()

    def kill_when_told() -> None:
        while not stop.is_set():
            with active.log.open("rb") as log:
                log.seek(told)
                if b"submitted by user alice" in log.read():
                    active.kill()
                    return
            time.sleep(0.002)

    killer = threading.Thread(target=kill_when_told)
    killer.start()
    try:
        app_id = knit.start(f"echo once >> {tmp_path}/ran")
        eventually(lambda: not active.alive)
    finally:
        stop.set()
        killer.join()
    assert knit.wait_for_completion(120), knit.status()["diagnostics"]
    assert of_alice(knit) - before == {app_id}
    assert (tmp_path / "ran").read_text() == "once\n"


def test_a_standby_that_names_a_stranger_leads_nobody_there(
    ha_cluster: LocalCluster, make_knit: Callable[..., Knit]
) -> None:
    asked: list[str] = []

    def stranger(handler: Front, _answer: requests.Response | None) -> bool:
        asked.append(handler.path)
        handler.send(200, "application/json", b"{}")
        return True

    active, standby = (web(ha_cluster, daemon.name) for daemon in (ha_cluster.active(RM), ha_cluster.standby(RM)))
    with front("127.0.0.1:1", stranger) as elsewhere:

        def mislead(handler: Front, answer: requests.Response | None) -> bool:
            if answer is None or answer.status_code != 307:
                return False
            handler.redirect(urlsplit(answer.headers["Location"])._replace(netloc=elsewhere).geturl(), answer.content)
            return True

        with front(standby, mislead) as misled:
            alone = make_knit(rm_addresses=[misled], password="canary", bridge="rest")
            with pytest.raises(ClusterUnavailable, match=f"names {elsewhere} .*not configured and so not followed"):
                alone.yarn_api.cluster_metrics()
            both = make_knit(rm_addresses=[misled, active])
            assert both.yarn_api.cluster_metrics()["totalNodes"] == 1
    assert asked == []
