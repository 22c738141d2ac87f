"""The gateway JVM and the filesystem through it, on a real cluster, as somebody else than the daemons' user."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.bridge.jvm import JvmBridge
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import (
    ApplicationNotFound,
    ClusterUnavailable,
    ConfigurationError,
    PermissionDenied,
)
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound
from tests.hadoop.eventually import eventually


def bridge_for(cluster: LocalCluster, user: str, **settings: str) -> JvmBridge:
    conf = HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir), pars=settings, user=user)
    return JvmBridge(conf, hadoop_home=str(cluster.hadoop_home), class_archive=False)


@pytest.fixture(scope="module")
def bridge(cluster: LocalCluster) -> Iterator[JvmBridge]:
    """Alice's."""
    bridge = bridge_for(cluster, "alice")
    yield bridge
    bridge.close()


@pytest.fixture(scope="module")
def bob(cluster: LocalCluster) -> Iterator[JvmBridge]:
    """Bob's."""
    bridge = bridge_for(cluster, "bob")
    yield bridge
    bridge.close()


@pytest.fixture
def folder(bridge: JvmBridge) -> Iterator[str]:
    """A folder in HDFS, removed at the end."""
    path = f"{bridge.files.uri_home()}/test-{secrets.token_hex(6)}"
    bridge.files.mkdirs(path)
    yield path
    bridge.files.delete(path, recursive=True)


def test_an_application_nobody_knows(bridge: JvmBridge) -> None:
    with pytest.raises(ApplicationNotFound, match="application_1_0001"):
        bridge.report("application_1_0001")
    with pytest.raises(ConfigurationError, match="application_id is job_1; it has to look like"):
        bridge.report("job_1")


def test_the_next_resource_manager_is_asked(cluster: LocalCluster) -> None:
    conf = HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir))
    ha = {
        "yarn.resourcemanager.ha.enabled": "true",
        "yarn.resourcemanager.ha.rm-ids": "rm1,rm2",
        "yarn.resourcemanager.cluster-id": "test",
        "yarn.resourcemanager.address.rm1": "127.0.0.1:1",
        "yarn.resourcemanager.address.rm2": conf["yarn.resourcemanager.address"],
        "yarn.resourcemanager.webapp.address.rm1": "127.0.0.1:1",
        "yarn.resourcemanager.webapp.address.rm2": cluster.rm_web,
    }
    bridge = bridge_for(cluster, "alice", **ha)
    try:
        assert bridge.new_application().application_id.startswith("application_")
    finally:
        bridge.close()


def test_hdfs_is_no_resource_manager(cluster: LocalCluster) -> None:
    bridge = bridge_for(cluster, "alice", **{"yarn.resourcemanager.address": cluster.namenode})
    try:
        with pytest.raises(Exception, match=r"(?i)unknown protocol|ApplicationClientProtocol") as caught:
            bridge.new_application()
        assert isinstance(caught.value, ClusterUnavailable)
        assert cluster.namenode in str(caught.value)
    finally:
        bridge.close()


# -- files -------------------------------------------------------------------------------------------------------------


def test_put_is_private_whole_and_never_overwrites(bridge: JvmBridge, folder: str, tmp_path: Path) -> None:
    source = tmp_path / "a b"
    source.write_bytes(os.urandom(3_000_000))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    target = f"{folder}/cache/{digest}/a b"
    status = bridge.files.put(source, target, digest, replication=1)
    assert (status.length, status.permission, status.owner, status.replication) == (3_000_000, "600", "alice", 1)
    assert bridge.files.put(source, target, digest) == status, "a second time nothing changes"
    (only,) = bridge.files.list(f"{folder}/cache")
    assert (only.path, only.permission) == (f"{folder}/cache/{digest}", "700")
    source.write_bytes(b"other")
    with pytest.raises(RemoteFileExists):
        bridge.files.put(source, target)
    assert bridge.files.get(target, tmp_path / "back") == 3_000_000
    assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == digest


def test_many_put_the_same_file_at_once(bridge: JvmBridge, folder: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1_000_000))
    target = f"{folder}/target"
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: bridge.files.put(source, target), range(8)))
    assert len(set(statuses)) == 1
    assert [entry.path for entry in bridge.files.list(folder)] == [target]


def test_a_file_that_changes_while_it_is_uploaded(bridge: JvmBridge, folder: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 20_000_000)
    stop = threading.Event()

    def rewrite() -> None:
        while not stop.is_set():
            with source.open("r+b") as out:
                out.write(b"y")
            stop.wait(0.01)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        with pytest.raises(ConfigurationError, match=rf"the local file {source} changed while it was uploaded"):
            bridge.files.put(source, f"{folder}/target")
    finally:
        stop.set()
        writer.join()
    assert bridge.files.list(folder) == []


def test_write_many_makes_private_files_in_a_private_folder(bridge: JvmBridge, folder: str) -> None:
    contents = {f"file {index}": os.urandom(1000 * index) for index in range(12)}
    bridge.files.mkdirs(f"{folder}/staging", "755")
    statuses = bridge.files.write_many(f"{folder}/staging", contents)
    assert {name: bridge.files.read(status.path) for name, status in statuses.items()} == contents
    assert {status.permission for status in statuses.values()} == {"600"}
    made = bridge.files.status(f"{folder}/staging")
    assert made is not None
    assert made.permission == "700"
    with pytest.raises(RemoteFileExists):
        bridge.files.write_many(f"{folder}/staging", {"file 1": b""})
    bridge.files.write_many(f"{folder}/staging", {"file 1": b"new"}, overwrite=True)
    assert bridge.files.read(f"{folder}/staging/file 1") == b"new"


def test_rename_neither_overwrites_nor_moves_into(bridge: JvmBridge, folder: str) -> None:
    files = bridge.files
    files.write_many(folder, {"a": b"a", "b": b"b"})
    files.mkdirs(f"{folder}/d")
    for target in ("b", "d"):
        with pytest.raises(RemoteFileExists, match=f"{folder}/{target} exists already"):
            files.rename(f"{folder}/a", f"{folder}/{target}")
    files.rename(f"{folder}/a", f"{folder}/c")
    assert files.read(f"{folder}/c") == b"a"
    assert files.status(f"{folder}/a") is None
    with pytest.raises(RemoteFileNotFound):
        files.rename(f"{folder}/a", f"{folder}/e")


def test_touch_delete_and_what_is_not_there(bridge: JvmBridge, folder: str) -> None:
    files = bridge.files
    files.touch(f"{folder}/lease")
    before = files.status(f"{folder}/lease")
    assert before is not None
    assert (before.permission, before.length) == ("600", 0)

    def touched() -> bool:
        files.touch(f"{folder}/lease")
        now = files.status(f"{folder}/lease")
        return now is not None and now.modified_ms > before.modified_ms

    eventually(touched)
    assert files.delete(f"{folder}/lease") is True
    assert files.delete(f"{folder}/lease") is False
    with pytest.raises(RemoteFileNotFound):
        files.list(f"{folder}/absent")
    files.write_many(f"{folder}/full", {"x": b""})
    with pytest.raises(RemoteFileExists, match="not empty"):
        files.delete(f"{folder}/full")


def test_what_is_bobs_stays_bobs(bridge: JvmBridge, bob: JvmBridge, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    home = bob.files.uri_home()
    assert home.endswith("/user/bob")
    with pytest.raises(PermissionDenied, match="alice"):
        bridge.files.put(tmp_path / "x", f"{home}/x")
    with pytest.raises(PermissionDenied, match="alice"):
        bridge.files.list(home)


def test_a_proxy_user_acts_for_another(cluster: LocalCluster) -> None:
    conf = HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir))
    me = conf.user
    proxy = JvmBridge(conf, user=me, proxy_user="bob", hadoop_home=str(cluster.hadoop_home), class_archive=False)
    nobody = JvmBridge(conf, user="alice", proxy_user="bob", hadoop_home=str(cluster.hadoop_home), class_archive=False)
    try:
        assert proxy.files.uri_home().endswith("/user/bob")
        assert proxy.files.list(proxy.files.uri_home()) is not None
        with pytest.raises(PermissionDenied, match="alice is not allowed to impersonate bob"):
            nobody.new_application()
    finally:
        proxy.close()
        nobody.close()


def test_a_quota_is_told_and_said(bridge: JvmBridge, cluster: LocalCluster, folder: str, tmp_path: Path) -> None:
    command = [str(cluster.hadoop_home / "bin" / "hdfs"), "dfsadmin", "-setQuota", "3", folder]
    subprocess.run(command, check=True, env={**os.environ, **cluster.env()}, capture_output=True)
    space = bridge.files.free(folder)
    assert (space.name_quota, space.name_used, space.space_quota) == (3, 1, None)
    assert (space.capacity or 0) > (space.remaining or 0) > 0
    with pytest.raises(ConfigurationError, match=r"(?i)quota.*exceeded"):
        bridge.files.write_many(folder, dict.fromkeys("abc", b""))
