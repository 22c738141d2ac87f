"""Ctrl-C or SIGTERM while a cluster is submitted that nothing binds to this process: afterwards there is none."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from tests.dask.conftest import HERE

SUBMIT = """
import sys, threading
from knit_provider.cli.main import main
from knit_provider.dask.beginning import Beginning
from knit_provider.yarn.submission import submit as submission
moment = sys.argv[1]
real, give_up, given_up = getattr(submission, moment), Beginning.give_up, threading.Event()
def held(*args, **kwargs):
    print("now", flush=True)
    given_up.wait(60)
    return real(*args, **kwargs)
def told(self):
    give_up(self)
    given_up.set()
setattr(submission, moment, held)
Beginning.give_up = told
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("moment", "signum", "ends"),
    [
        ("Transfer", signal.SIGINT, []),
        ("hand_over", signal.SIGINT, ["KILLED"]),
        ("hand_over", signal.SIGTERM, ["KILLED"]),
    ],
    ids=["upload", "request", "request-terminated"],
)
def test_an_interrupted_submission(cluster: LocalCluster, moment: str, signum: signal.Signals, ends: list[str]) -> None:
    name = f"interrupted-{uuid.uuid4()}"
    words = ["dask", "submit", "--conf-dir", str(cluster.conf_dir), "--user", "alice", "--name", name]
    child = subprocess.Popen(
        [sys.executable, "-c", SUBMIT, moment, *words, "--env", HERE, "--memory", "512"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
        child.send_signal(signum)
        out, err = child.communicate(timeout=120)
    finally:
        child.kill()
        child.wait()
    assert (child.returncode, out) == (130, ""), err
    with Knit(user="alice", hadoop_conf_dir=str(cluster.conf_dir)) as knit:
        found = [a for a in knit.yarn_api.find(tags=["dask"], types=["knit"], user="alice") if a["name"] == name]
    assert [a["finalStatus"] for a in found] == ends
