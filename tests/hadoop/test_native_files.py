"""hdfs-native on a real HDFS: when it is chosen, what follows when it cannot go on, forks, and silent NameNodes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import uuid

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ClusterUnavailable
from knit_provider.yarn.files import choose, native
from knit_provider.yarn.files.choose import ChosenFiles
from knit_provider.yarn.files.namenodes import DataNodeUnreachable
from knit_provider.yarn.files.native import NameNodeSilent, NativeFiles

USER = "alice"
OTHER = "bob"


@pytest.fixture
def conf(cluster):
    return HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir))


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("HADOOP_USER_NAME", USER)


@pytest.fixture
def silent():
    """A port that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield server.getsockname()[1]


@pytest.fixture
def dead():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def no_gateway():
    raise AssertionError("no JVM is needed")


def highly_available(cluster, conf, *first):
    """The cluster as a nameservice whose first NameNodes are at these ports; the real one comes last."""
    ids = [f"nn{i}" for i in range(len(first) + 1)]
    rpc = [*(f"127.0.0.1:{port}" for port in first), conf.default_fs.removeprefix("hdfs://")]
    pars = {"fs.defaultFS": "hdfs://ns", "dfs.nameservices": "ns", "dfs.ha.namenodes.ns": ",".join(ids)}
    for nn, address in zip(ids, rpc, strict=True):
        pars[f"dfs.namenode.rpc-address.ns.{nn}"] = address
        pars[f"dfs.namenode.http-address.ns.{nn}"] = conf["dfs.namenode.http-address"]
    return HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir), pars=pars)


def test_it_is_chosen_for_the_environments_user_and_starts_no_jvm(conf):
    chosen = ChosenFiles(conf, USER, no_gateway)
    assert chosen.serving("/x") == "hdfs-native"
    assert chosen.uri_home() == f"{conf.default_fs}/user/{USER}"
    assert chosen.status(f"/user/{USER}").owner == USER
    assert chosen.free("/").capacity > 0
    chosen.close()


def test_webhdfs_serves_another_user_and_makes_files_theirs(conf):
    chosen = ChosenFiles(conf, OTHER)
    assert chosen.serving("/x") == "webhdfs"
    folder = f"{chosen.uri_home()}/test-{uuid.uuid4().hex}"
    chosen.mkdirs(folder)
    try:
        assert chosen.status(folder).owner == OTHER
    finally:
        chosen.delete(folder, recursive=True)


def test_an_environment_that_changes_makes_nobody_somebody_else(conf, monkeypatch, caplog):
    chosen = ChosenFiles(conf, USER)
    folder = f"{chosen.uri_home()}/test-{uuid.uuid4().hex}"
    assert chosen.serving("/x") == "hdfs-native"
    monkeypatch.setenv("HADOOP_USER_NAME", OTHER)
    chosen.mkdirs(folder)
    try:
        assert chosen.status(folder).owner == USER
        assert chosen.serving("/x") == "webhdfs"
        assert OTHER in caplog.text
    finally:
        chosen.delete(folder, recursive=True)


def test_without_any_way_each_ones_reason_is_said(cluster, dead):
    closed = HadoopConf.load(
        hadoop_conf_dir=str(cluster.conf_dir), pars={"dfs.namenode.http-address": f"127.0.0.1:{dead}"}
    )
    with pytest.raises(ClusterUnavailable, match=rf"hdfs-native: .*HADOOP_USER_NAME.*webhdfs: .*:{dead}.*jvm"):
        ChosenFiles(closed, OTHER).status("/")
    with pytest.raises(ClusterUnavailable, match="s3a://bucket"):
        ChosenFiles(closed, USER).status("s3a://bucket/x")
    assert ChosenFiles(closed, USER).status("/").is_dir


def test_another_filesystem_and_closed_ports_go_through_the_gateway(cluster, conf, dead):
    gateway = NativeFiles(conf.default_fs, conf, USER)
    chosen = ChosenFiles(conf, USER, lambda: gateway)
    assert chosen.serving("file:///tmp") == "gateway"
    assert chosen.serving("s3a://bucket/x") == "gateway"
    closed = HadoopConf.load(
        hadoop_conf_dir=str(cluster.conf_dir), pars={"dfs.namenode.http-address": f"127.0.0.1:{dead}"}
    )
    chosen = ChosenFiles(closed, OTHER, lambda: gateway)
    assert chosen.serving("/") == "gateway"
    assert chosen.status("/").is_dir


def test_of_two_namenodes_the_one_that_lives_serves(cluster, conf, dead):
    two = highly_available(cluster, conf, dead)
    files = NativeFiles("hdfs://ns", two, USER)
    assert files.uri_home() == f"hdfs://ns/user/{USER}"
    assert files.status(f"/user/{USER}").path == f"hdfs://ns/user/{USER}"


def test_a_namenode_that_says_nothing_is_passed_by(cluster, conf, silent, monkeypatch):
    monkeypatch.setattr(choose, "_PROBE_SECONDS", 1.0)
    chosen = ChosenFiles(highly_available(cluster, conf, silent), USER)
    assert chosen.status("/").is_dir
    assert chosen.serving("/") == "webhdfs"


def test_a_namenode_that_falls_silent_is_asked_once_more_only_what_may_be_repeated(cluster, conf, silent, monkeypatch):
    monkeypatch.setattr(native, "CALL_TIMEOUT", 1.0)
    monkeypatch.setattr(NativeFiles, "probe", lambda *_: None)
    mute = highly_available(cluster, conf, silent)
    reading = ChosenFiles(mute, USER)
    assert reading.status("/").is_dir
    assert reading.serving("/") == "webhdfs"
    moving = ChosenFiles(mute, USER)
    with pytest.raises(NameNodeSilent, match="may still happen"):
        moving.rename("/user/alice/nothing", "/user/alice/other")
    assert moving.serving("/") == "webhdfs"


def test_a_namenode_that_is_away_is_said_to_be_in_seconds(conf, dead):
    with pytest.raises(ClusterUnavailable, match="refused"):
        NativeFiles(f"hdfs://127.0.0.1:{dead}", conf, USER).status("/")


def test_datanodes_out_of_reach_leave_it_to_the_next_way(cluster, conf, monkeypatch, tmp_path):
    """As behind a firewall: the NameNode answers, the DataNode's port doesn't."""
    local = tmp_path / "data"
    local.write_bytes(os.urandom(100_000))

    def unreachable(self, name, action, **_):
        if "_create" in action.__qualname__:
            return real(self, name, lambda client, pulse: action(_Refusing(client), pulse))
        return real(self, name, action)

    real = NativeFiles._transfer
    monkeypatch.setattr(NativeFiles, "_transfer", unreachable)
    chosen = ChosenFiles(conf, USER)
    folder = f"{chosen.uri_home()}/test-{uuid.uuid4().hex}"
    try:
        assert chosen.serving("/") == "hdfs-native"
        with pytest.raises(DataNodeUnreachable):
            chosen._chosen(conf.default_fs)[1].write_many(folder, {"a": b"1", "b": b"2"})
        assert chosen.list(folder) == [], "what was begun is gone, so that it is in nobody's way"
        assert chosen.write_many(folder, {"a": b"1", "b": b"2"})["a"].length == 1
        assert chosen.serving("/") == "webhdfs"
        assert chosen.put(local, f"{folder}/data").length == 100_000
    finally:
        chosen.delete(folder, recursive=True)


class _Refusing:
    """A client whose files are made by the NameNode and taken by no DataNode."""

    def __init__(self, client):
        self._client = client

    def create(self, name, options):
        self._client.create(name, options)
        return self

    def write(self, _piece):
        raise OSError("Connection refused (os error 111)")


def in_child(action):
    """Run in a forked child; returns how it ended, None if it did not."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = 0 if action() else 2
        os._exit(code)
    # A hang may be as early as in the fork itself.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_a_forked_child_uses_it_and_frees_it(conf):
    files = [NativeFiles(conf.default_fs, conf, USER)]
    assert files[0].status("/").is_dir
    folder = f"/user/{USER}/test-{uuid.uuid4().hex}"

    def child():
        files[0].write_many(folder, {"x": b"content"})
        return files[0].read(f"{folder}/x") == b"content"

    def freeing_child():
        files.clear()
        return True

    try:
        assert in_child(child) == 0
        assert files[0].read(f"{folder}/x") == b"content"
        assert in_child(freeing_child) == 0
    finally:
        files[0].delete(folder, recursive=True)


def test_the_environment_stays_as_it_is(conf):
    before = dict(os.environ)
    NativeFiles(conf.default_fs, conf, USER).status("/")
    assert dict(os.environ) == before
