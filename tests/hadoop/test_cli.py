"""The ``knit`` command as a shell sees it: output, exit codes, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from tests.hadoop.eventually import eventually

COMMAND = [sys.executable, "-c", "from knit_provider.cli.main import main; main(prog_name='knit')"]


@pytest.fixture
def environment(cluster: LocalCluster) -> dict[str, str]:
    return {**os.environ, **cluster.env(), "HADOOP_USER_NAME": "alice"}


def run(environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def test_submit_and_all_that_follows(environment: dict[str, str], tmp_path: Path, marker: str) -> None:
    spec = {"services": {"w": {"script": f"echo {marker}; sleep 300", "resources": {"memory": 128, "vcores": 1}}}}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    app_id = run(environment, "submit", str(tmp_path / "spec.json")).strip()
    try:
        assert app_id in run(environment, "list")
        eventually(lambda: json.loads(run(environment, "status", app_id, "--json"))["services"], every=1)
        scaled: dict[str, Any] = json.loads(run(environment, "scale", app_id, "w", "2", "--json"))
        assert scaled["target"] == 2
        eventually(lambda: run(environment, "logs", app_id).count(marker) == 2, every=1)
        assert "w" in run(environment, "status", app_id)
        run(environment, "wait", app_id, "--timeout", "1", code=124)
    finally:
        assert "KILLED" in run(environment, "kill", app_id)
    run(environment, "wait", app_id, code=1)
    assert app_id not in run(environment, "list")
    assert app_id in run(environment, "list", "--all")


def test_run_streams_and_exits_with_the_containers_code(environment: dict[str, str], marker: str) -> None:
    assert marker in run(environment, "run", "--", f"echo {marker}")
    said = run(environment, "run", "--", "sh", "-c", f"echo {marker}; exit 6", code=6)
    assert marker in said


def test_what_ends_run_ends_the_application(environment: dict[str, str], knit: Knit) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "--", "sleep 300"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        app_id = next(word for line in process.stderr for word in line.split() if word.startswith("application_"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert knit.attach(app_id).wait_for_end(30).killed


def test_doctor_and_prune(environment: dict[str, str]) -> None:
    findings = json.loads(run(environment, "doctor", "--json"))
    assert all(f["ok"] for f in findings), findings
    assert {"ResourceManager", "Java", "filesystem"} <= {f["what"] for f in findings}
    assert "removed" in run(environment, "prune")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["status", "jobs/1"], 64, "jobs/1"),
        (["status", "application_1_0001"], 64, "application_1_0001"),
        (["run", "--memory", "much", "--", "true"], 64, "much"),
        (["submit", "/no/such.yaml"], 64, "/no/such.yaml"),
        (["run", "--queue", "nosuch", "--", "true"], 77, "nosuch"),
        (["--nonsense"], 64, "nonsense"),
        (["list", "--rm", "127.0.0.1:1"], 69, "127.0.0.1:1"),
        (["list", "-D", "oops"], 64, "oops"),
    ],
    ids=lambda v: " ".join(v)[:30] if isinstance(v, list) else None,
)
def test_errors_have_their_codes(environment: dict[str, str], arguments: list[str], code: int, word: str) -> None:
    assert word in run(environment, *arguments, code=code)
