"""The state file, folders, and processes that are not what a stale file says they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knit_provider.localcluster import LocalCluster, state
from knit_provider.localcluster.process import ProcessId, end_all, processes_with
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that would rather live."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def write_state(folder: Path, daemons: dict[str, ProcessId | None]) -> LocalCluster:
    """A folder as a cluster that runs, or ran, leaves it."""
    state.prepare_directory(folder)
    addresses = {
        "dfs.namenode.rpc-address": "127.0.0.1:1",
        "dfs.namenode.http-address": "127.0.0.1:1",
        "dfs.datanode.address": "127.0.0.1:1",
        "dfs.datanode.http.address": "127.0.0.1:1",
        "dfs.datanode.ipc.address": "127.0.0.1:1",
        "mapreduce.jobhistory.address": "127.0.0.1:1",
        "mapreduce.jobhistory.admin.address": "127.0.0.1:1",
        "mapreduce.jobhistory.webapp.address": "127.0.0.1:1",
        **{
            f"yarn.resourcemanager.{part}address": "127.0.0.1:1"
            for part in ("", "scheduler.", "resource-tracker.", "admin.", "webapp.")
        },
    }
    remembered = state.State(
        generation="g", up=True, hadoop_version="3.5.0", java_home="/j", java_major=17, settings=addresses, nodes={}
    )
    remembered.daemons = daemons
    state.save(folder, remembered)
    return LocalCluster(folder)


def test_a_recycled_pid_is_never_killed(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    now = ProcessId.of(sleeper.pid)
    assert now is not None
    boot, _, ticks = now.birth.partition(":")
    earlier = ProcessId(sleeper.pid, f"{boot}:{int(ticks) - 1}")
    cluster = write_state(tmp_path / "c", {"namenode": earlier, "datanode": ProcessId(sleeper.pid, "other-boot:5")})
    assert cluster.status().state == "down"
    assert not cluster.daemons["namenode"].alive
    cluster.daemons["namenode"].kill()
    cluster.daemons["namenode"].stop()
    assert cluster.down() is False
    assert sleeper.poll() is None


def test_down_ends_what_the_file_names_and_what_bears_the_mark(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    folder = tmp_path / "c"
    cluster = write_state(folder, {"namenode": ProcessId.of(sleeper.pid)})
    # Started, and its starter died before it wrote down the pid.
    program = "import time; print(flush=True); time.sleep(600)"
    unwritten = subprocess.Popen([sys.executable, "-c", program, f"-Dknit.cluster={folder}"], stdout=subprocess.PIPE)
    foreign = subprocess.Popen([sys.executable, "-c", program, f"-Dknit.cluster={folder}2"], stdout=subprocess.PIPE)
    try:
        for process in (unwritten, foreign):
            assert process.stdout is not None
            process.stdout.readline()
        assert cluster.down() is True
        assert sleeper.wait() == -signal.SIGTERM
        assert unwritten.wait() == -signal.SIGKILL
        assert foreign.poll() is None
        assert cluster.down() is False
    finally:
        foreign.kill()
        foreign.communicate()
        unwritten.kill()
        unwritten.communicate()


def test_a_process_that_ended_and_was_not_reaped_is_dead() -> None:
    child = subprocess.Popen(["true"])
    born = ProcessId.of(child.pid)
    while ProcessId.of(child.pid) is not None:
        time.sleep(0.01)
    if born is not None:
        assert not born.alive
        assert not born.send(signal.SIGKILL)
    assert child.wait() == 0


def test_what_does_not_heed_sigterm_is_killed() -> None:
    deaf = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal,time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)",
        ],
        stdout=subprocess.PIPE,
    )
    assert deaf.stdout is not None
    deaf.stdout.readline()
    process = ProcessId.of(deaf.pid)
    assert process is not None
    assert end_all([process], grace=0.2) == []
    assert deaf.wait() == -signal.SIGKILL
    deaf.stdout.close()


def test_marks_match_whole_words() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "-Dmark=abc"])
    try:
        while not (found := [process.pid for process in processes_with("-Dmark=abc")]):
            time.sleep(0.01)
        assert found == [child.pid]
        assert list(processes_with("-Dmark=ab")) == []
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 99}', '{"version": 1}', '{"version": 1, "daemons": {}}']
)
def test_a_damaged_state_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        LocalCluster(tmp_path)


def test_state_survives_a_round_trip(tmp_path: Path) -> None:
    cluster = write_state(tmp_path / "c", {"namenode": ProcessId(1, "b:2"), "datanode": None})
    read = state.load(cluster.directory)
    assert read is not None
    assert read.daemons == {"namenode": ProcessId(1, "b:2"), "datanode": None}
    assert json.loads((cluster.directory / "state.json").read_text())["version"] == 1


def test_processes_that_two_note_are_both_kept(tmp_path: Path) -> None:
    one = write_state(tmp_path / "c", {"namenode": ProcessId(1, "b:2"), "datanode": None})
    LocalCluster(one.directory)._note("datanode", ProcessId(3, "b:4"))  # as another process would
    one._note("namenode", ProcessId(5, "b:6"))
    read = state.load(one.directory)
    assert read is not None
    assert read.daemons == {"namenode": ProcessId(5, "b:6"), "datanode": ProcessId(3, "b:4")}
    assert one.daemons["datanode"].pid == 3
    state.change(one.directory, "another run", lambda current: current.daemons.clear())
    read = state.load(one.directory)
    assert read is not None
    assert read.daemons["datanode"] == ProcessId(3, "b:4")


def test_the_folder_is_private_and_of_its_own(tmp_path: Path) -> None:
    state.prepare_directory(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    state.prepare_directory(tmp_path / "new")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigurationError, match="holds other things"):
        LocalCluster(tmp_path / "used").up()
    LocalCluster(tmp_path / "used").down(delete=True)
    assert (tmp_path / "used" / "letter.txt").exists()


@pytest.mark.parametrize("name", ["with space", "a,b", "a:b", "a%b", "a'b"])
def test_a_folder_that_hadoop_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="in its name"):
        LocalCluster(tmp_path / name).up()
    assert not (tmp_path / name).exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file/c"):
        LocalCluster(tmp_path / "file" / "c").up()


def test_the_default_folder_is_the_users() -> None:
    assert state.default_directory({"HOME": "/h"}) == Path("/h/.local/state/knit-provider/cluster")
    assert state.default_directory({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/knit-provider/cluster")


@pytest.mark.parametrize("nodes", [0, -1, 33, 1.5, "2", True])
def test_absurd_numbers_of_nodes_are_refused(tmp_path: Path, nodes: object) -> None:
    with pytest.raises(ConfigurationError, match=f"nodes is {nodes!r}"):
        LocalCluster(tmp_path, nodes=nodes)  # type: ignore[arg-type]


def test_what_needs_a_cluster_says_so(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path / "none")
    assert cluster.status().state == "down"
    assert cluster.down() is False
    for use in (lambda: cluster.rm_web, cluster.env, lambda: cluster.plan):
        with pytest.raises(ClusterUnavailable, match="No cluster was ever up in"):
            use()


def test_somebody_else_bringing_it_up_is_waited_for(tmp_path: Path) -> None:
    state.prepare_directory(tmp_path / "c")
    told: list[str] = []
    with (
        state.locked(tmp_path / "c"),
        pytest.raises(ClusterUnavailable, match="Another process"),
        state.locked(tmp_path / "c", told.append, timeout=0.3),
    ):
        pass
    assert len(told) == 1
    with state.locked(tmp_path / "c", timeout=0.3):
        assert os.path.exists(tmp_path / "c" / ".lock")
