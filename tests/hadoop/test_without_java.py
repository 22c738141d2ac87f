"""The rest bridge where there is no Java, and how auto finds out what serves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest
import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.bridge import choose
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError
from tests.hadoop.eventually import eventually

WHOLE_JOB = """
import json, sys
from knit_provider import Knit
with Knit(user="alice", hadoop_conf_dir=sys.argv[1], bridge=sys.argv[2]) as k:
    words = {"WORD": sys.argv[3]}
    app_id = k.start("echo $WORD; sleep 3", num_containers=2, envvars=words, bound=False)
    assert k.wait_for_completion(120), k.status()
    logs = {i: str(c["stdout"]) for i, c in k.logs().items() if c["service"]}
    print(json.dumps({"id": app_id, "bridge": k.connection.bridge.name, "logs": logs, "user": k.status()["user"]}))
"""


def java_children(process: psutil.Process) -> list[str]:
    try:
        return [child.name() for child in process.children(recursive=True) if "java" in child.name()]
    except psutil.Error:
        return []


@pytest.mark.parametrize("kind", ["rest", "auto"])
def test_a_whole_job_without_java(cluster: LocalCluster, marker: str, kind: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("JAVA_HOME", "HADOOP_HOME")}
    process = subprocess.Popen(
        [sys.executable, "-c", WHOLE_JOB, str(cluster.conf_dir), kind, marker],
        env={**environment, "PATH": "/nonexistent"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.extend(java_children(psutil.Process(process.pid)) if psutil.pid_exists(process.pid) else [])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        out, err = process.communicate(timeout=180)
    finally:
        over.set()
        watcher.join()
    assert process.returncode == 0, err
    said = json.loads(out)
    assert said["bridge"] == "rest"
    assert said["user"] == "alice"
    assert list(said["logs"].values()) == [f"{marker}\n"] * 2
    assert seen == []


def test_the_watch_sees_a_java(cluster: LocalCluster) -> None:
    process = subprocess.Popen([f"{cluster.env()['JAVA_HOME']}/bin/java", "-version"], stderr=subprocess.DEVNULL)
    try:
        assert "java" in psutil.Process(process.pid).name() or process.wait() == 0
    finally:
        process.wait()


def test_the_lifetime_is_set_and_nobody_else_has_to_see_to_it(make_knit: Callable[..., Knit]) -> None:
    k = make_knit(bridge="rest")
    app_id = k.start("sleep 300", lifetime=5000)
    marker = f"{k.connection.paths.staging(app_id)}/lifetime"
    eventually(lambda: k.connection.files.status(marker) is None)
    left = k.yarn_api.app_timeouts(app_id)["LIFETIME"]["remainingTimeInSeconds"]
    assert 4900 < left <= 5000
    assert k.kill()


def test_a_submitter_who_is_gone_before_the_lifetime_is_set(
    make_knit: Callable[..., Knit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit_provider.yarn.submission.submit.set_lifetime_when_running", lambda *args: None)
    k = make_knit(bridge="rest")
    app_id = k.start("sleep 300", lifetime=10)
    app = k.attach(app_id)
    assert k.yarn_api.app_timeouts(app_id)["LIFETIME"]["expiryTime"] == "UNLIMITED"
    eventually(lambda: app.report().terminal, seconds=90)
    report = app.report()
    assert report.timed_out, report
    assert "lifetime of 10 s is over" in report.diagnostics


def test_a_process_that_submits_and_ends_has_told_yarn(cluster: LocalCluster, make_knit: Callable[..., Knit]) -> None:
    submit = (
        "import sys; from knit_provider import Knit; k = Knit(user='alice', hadoop_conf_dir=sys.argv[1], bridge='rest')"
        # However busy the machine is: that it waits is what counts here, and not how long.
        "; from knit_provider.yarn.submission import lifetime; lifetime._AT_EXIT = 50"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{submit}; print(k.start('sleep 300', lifetime=4000))", str(cluster.conf_dir)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    k = make_knit()
    app_id = done.stdout.strip()
    k.attach(app_id)
    try:
        assert 3900 < k.yarn_api.app_timeouts(app_id)["LIFETIME"]["remainingTimeInSeconds"] <= 4000
    finally:
        assert k.kill(app_id)


class _Front(BaseHTTPRequestHandler):
    """Stands before the ResourceManager and answers as one whose submissions by REST are switched off."""

    rm = ""

    def do_POST(self) -> None:
        body = json.dumps(
            {
                "RemoteException": {
                    "exception": "ForbiddenException",
                    "javaClassName": "org.apache.hadoop.yarn.webapp.ForbiddenException",
                    "message": "App submission via REST is disabled.",
                }
            }
        ).encode()
        self._send(403, "application/json", body)

    def do_GET(self) -> None:
        answer = requests.get(f"http://{self.rm}{self.path}", timeout=20, headers={"Accept": self.headers["Accept"]})
        self._send(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Not onto stderr."""


@pytest.fixture
def front(cluster: LocalCluster) -> Iterator[str]:
    handler = type("Front", (_Front,), {"rm": cluster.rm_web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_auto_says_once_why_it_takes_a_jvm(
    make_knit: Callable[..., Knit], front: str, caplog: pytest.LogCaptureFixture
) -> None:
    choose.forget()
    pars = {"yarn.resourcemanager.webapp.address": front}
    for _ in range(2):
        k = make_knit(pars=pars, bridge="auto")
        assert k.connection.bridge.name == "jvm"
    said = [r.getMessage() for r in caplog.records if "through a JVM" in r.getMessage()]
    assert len(said) == 1
    assert "App submission via REST is disabled" in said[0]


def test_auto_without_java_says_why_neither_serves(
    make_knit: Callable[..., Knit], front: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose.forget()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    k = make_knit(pars={"yarn.resourcemanager.webapp.address": front}, bridge="auto", hadoop_home=None)
    with pytest.raises(ConfigurationError, match=r"(?is)App submission via REST is disabled.*not through a JVM: .*"):
        k.start("true")


@pytest.fixture
def closed_web() -> dict[str, str]:
    """Settings of a cluster whose WebHDFS cannot be reached; hdfs-native does not act as alice here."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return {"dfs.namenode.http-address": f"127.0.0.1:{taken.getsockname()[1]}"}


def test_auto_takes_a_jvm_where_webhdfs_is_out_of_reach(
    make_knit: Callable[..., Knit], closed_web: dict[str, str], caplog: pytest.LogCaptureFixture, marker: str
) -> None:
    choose.forget()
    k = make_knit(pars=closed_web, bridge="auto")
    k.start(f"echo {marker}")
    assert k.wait_for_completion(90), k.status()
    assert k.connection.bridge.name == "jvm"
    assert [r for r in caplog.records if "through a JVM, not by REST" in r.getMessage() and "webhdfs" in r.getMessage()]


def test_rest_without_webhdfs_says_which_ways_were_tried(
    make_knit: Callable[..., Knit], closed_web: dict[str, str]
) -> None:
    with pytest.raises(ClusterUnavailable, match=r"hdfs-native: .*HADOOP_USER_NAME.*webhdfs: .*refused"):
        make_knit(pars=closed_web, bridge="rest").start("true")


def test_rest_where_it_is_switched_off(make_knit: Callable[..., Knit], front: str) -> None:
    k = make_knit(pars={"yarn.resourcemanager.webapp.address": front}, bridge="rest")
    with pytest.raises(KnitError, match="App submission via REST is disabled"):
        k.start("true")
