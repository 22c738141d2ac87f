"""Two NameNodes, of which the active one dies."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.users import daemon_user
from tests.ha.takeover import becomes_active, kill_active
from tests.hadoop.eventually import eventually

NN = "namenode"
_SIZE = 256 * 2**20


@pytest.mark.parametrize("user", ["alice", daemon_user()], ids=["webhdfs", "native"])
def test_uploads_and_applications_outlive_the_active_one(
    ha_cluster: LocalCluster,
    make_knit: Callable[..., Knit],
    tmp_path: Path,
    user: str,
    record_property: Callable[[str, object], None],
) -> None:
    data = tmp_path / "data"
    content = os.urandom(2**20) * (_SIZE >> 20)
    data.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    early, late = make_knit(user=user), make_knit(user=user)
    early.start(f"echo once >> {tmp_path}/early-$KNIT_INDEX; while [ ! -e {tmp_path}/end ]; do sleep 0.2; done")
    eventually((tmp_path / "early-0").exists)
    files = late.connection.files
    files.uri_home()

    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(late.start, "sha256sum data", files=[str(data)])
        base = late.connection.paths.base
        eventually(lambda: uploading(late, base), every=0.005)
        took = kill_active(ha_cluster, NN, {"status": lambda: files.status("/")})
        record_property("after_the_takeover_of_hdfs", took)
        print(f"\nafter the takeover of HDFS, in seconds: {took}")
        started.result(timeout=120)
    # The ApplicationMaster journals what it starts.
    early.add_containers(1)
    eventually((tmp_path / "early-1").exists)
    (tmp_path / "end").touch()
    for knit in (early, late):
        assert knit.wait_for_completion(180), knit.status()["diagnostics"]
    assert any(digest in str(f.get("stdout", "")) for f in late.logs().values())
    assert [(tmp_path / f"early-{index}").read_text() for index in (0, 1)] == ["once\n", "once\n"]


def uploading(knit: Knit, base: str) -> bool:
    """Whether bytes are on their way: there is a file of a temporary name."""
    todo = [base]
    while todo:
        try:
            entries = knit.connection.files.list(todo.pop())
        except FileNotFoundError:
            continue
        for entry in entries:
            if "/.tmp-" in entry.path:
                return True
            if entry.is_dir:
                todo.append(entry.path)
    return False


def test_one_that_hangs_is_ended_before_the_other_takes_over(ha_cluster: LocalCluster) -> None:
    """Two that both write would ruin the filesystem that they share."""
    active = ha_cluster.active(NN)
    heir = ha_cluster.standby(NN).name
    active.kill(signal.SIGSTOP)
    eventually(lambda: not active.alive, seconds=90)
    assert becomes_active(ha_cluster, NN) == heir
