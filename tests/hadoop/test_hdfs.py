"""The Files port on a real HDFS, by hdfs-native, WebHDFS and the gateway: the same promises, whoever serves."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.native import NativeFiles
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.files.webhdfs import WebHDFS

USER = "alice"


@pytest.fixture(scope="module", autouse=True)
def _environment():
    """hdfs-native takes a simple user from the environment alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HADOOP_USER_NAME", USER)
        yield


@pytest.fixture(scope="module")
def conf(cluster):
    return HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir))


def web(conf, user=USER):
    return WebHDFS(conf.default_fs, NameNodes(conf.namenode_web_addresses(), user))


@pytest.fixture(scope="module", params=["hdfs-native", "webhdfs", "gateway"])
def files(request, conf, cluster):
    if request.param == "hdfs-native":
        serving = NativeFiles(conf.default_fs, conf, USER)
        yield serving
        serving.close()
    elif request.param == "webhdfs":
        serving = web(conf)
        yield serving
        serving.close()
    else:
        from knit_provider.yarn.bridge.jvm import JvmBridge

        bridge = JvmBridge(conf, user=USER, hadoop_home=str(cluster.hadoop_home))
        yield bridge.files
        bridge.close()


@pytest.fixture
def folder(conf, files):
    """A folder of alice's own."""
    path = f"{files.uri_home()}/test-{uuid.uuid4().hex}"
    files.mkdirs(path)
    yield path
    files.delete(path, recursive=True)


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(3_000_000))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_home_is_the_users(files, conf):
    assert files.uri_home() == f"{conf.default_fs}/user/{USER}"


def test_folders_have_exactly_the_mode_asked_for(files, folder):
    for mode in ("700", "750", "777"):
        files.mkdirs(f"{folder}/{mode}/inner", mode)
        assert files.status(f"{folder}/{mode}/inner").permission == mode
    status = files.status(folder)
    assert (status.is_dir, status.owner, status.length) == (True, USER, 0)
    assert status.path == folder


def test_a_folder_that_exists_is_left_as_it_is(files, folder):
    files.mkdirs(f"{folder}/x", "711")
    files.mkdirs(f"{folder}/x", "700")
    assert files.status(f"{folder}/x").permission == "711"


def test_what_is_not_there_has_no_status(files, folder):
    assert files.status(f"{folder}/nothing") is None
    assert files.delete(f"{folder}/nothing") is False
    with pytest.raises(RemoteFileNotFound):
        files.read(f"{folder}/nothing")
    with pytest.raises(RemoteFileNotFound):
        files.list(f"{folder}/nothing")


def test_paths_may_be_absolute_or_uris(files, folder):
    path = folder.removeprefix(files.uri_home().rpartition("/user/")[0])
    assert path.startswith("/user/")
    assert files.status(path).path == folder


def test_small_files_are_private_and_never_overwritten_unasked(files, folder):
    written = files.write_many(f"{folder}/a/b", {"one": b"1", "two": b"", "three": b"\0\xff" * 100_000})
    assert {name: (status.length, status.permission, status.owner) for name, status in written.items()} == {
        "one": (1, "600", USER),
        "two": (0, "600", USER),
        "three": (200_000, "600", USER),
    }
    assert files.status(f"{folder}/a/b").permission == "700"
    assert files.read(f"{folder}/a/b/three") == b"\0\xff" * 100_000
    assert files.read(f"{folder}/a/b/two") == b""
    with pytest.raises(RemoteFileExists):
        files.write_many(f"{folder}/a/b", {"one": b"other"})
    assert files.read(f"{folder}/a/b/one") == b"1"
    files.write_many(f"{folder}/a/b", {"one": b"other"}, overwrite=True)
    assert files.read(f"{folder}/a/b/one") == b"other"


def test_the_status_of_a_written_file_is_what_the_filesystem_says(files, folder):
    written = files.write_many(folder, {"one": b"1"})
    assert files.status(f"{folder}/one") == written["one"]


def test_an_open_folder_is_narrowed_before_anything_is_written(files, folder):
    files.mkdirs(f"{folder}/open", "777")
    files.write_many(f"{folder}/open", {"x": b"secret"})
    assert files.status(f"{folder}/open").permission == "700"


def test_a_file_that_is_too_long_to_read_is_refused(files, folder):
    files.write_many(folder, {"x": b"12345"})
    assert files.read(f"{folder}/x", 5) == b"12345"
    with pytest.raises(ConfigurationError):
        files.read(f"{folder}/x", 4)


def test_a_listing_is_complete_and_bounded(files, folder):
    files.write_many(folder, {f"f{number}": b"x" for number in range(12)})
    assert len(files.list(folder)) == 12
    assert len(files.list(folder, 5)) == 5
    assert {status.path for status in files.list(folder)} == {f"{folder}/f{number}" for number in range(12)}


def test_an_upload_arrives_private_and_complete(files, folder, local):
    status = files.put(local, f"{folder}/new/data.bin", digest(local), replication=2)
    assert (status.length, status.permission, status.replication) == (3_000_000, "600", 2)
    assert files.status(f"{folder}/new/data.bin") == status
    assert files.read(f"{folder}/new/data.bin") == local.read_bytes()
    assert [entry.path for entry in files.list(f"{folder}/new")] == [f"{folder}/new/data.bin"]


def test_an_upload_into_a_digests_folder_leaves_nothing_beside_it(files, folder, local):
    sha = digest(local)
    files.put(local, f"{folder}/{sha}/data.bin", sha)
    assert [entry.path for entry in files.list(folder)] == [f"{folder}/{sha}"]
    assert [entry.path for entry in files.list(f"{folder}/{sha}")] == [f"{folder}/{sha}/data.bin"]


def test_an_upload_never_overwrites(files, folder, local, tmp_path):
    first = files.put(local, f"{folder}/data.bin")
    assert files.put(local, f"{folder}/data.bin") == first
    other = tmp_path / "other"
    other.write_bytes(b"y" * 3_000_000)
    with pytest.raises(RemoteFileExists):
        files.put(other, f"{folder}/data.bin")
    other.write_bytes(b"short")
    with pytest.raises(RemoteFileExists):
        files.put(other, f"{folder}/data.bin")
    assert files.status(f"{folder}/data.bin") == first


def test_an_upload_of_other_content_than_promised_publishes_nothing(files, folder, local):
    with pytest.raises(ConfigurationError, match=r"data\.bin"):
        files.put(local, f"{folder}/x/data.bin", "0" * 64)
    assert files.status(f"{folder}/x/data.bin") is None
    assert files.list(f"{folder}/x") == []


def test_a_missing_local_file_or_a_folder_is_named(files, folder, tmp_path):
    with pytest.raises(ConfigurationError, match="nothing-here"):
        files.put(tmp_path / "nothing-here", f"{folder}/x")
    with pytest.raises(ConfigurationError, match=tmp_path.name):
        files.put(tmp_path, f"{folder}/x")


def test_uploads_of_one_content_at_once_all_succeed(files, folder, local):
    sha, found, failed = digest(local), [], []

    def upload():
        try:
            found.append(files.put(local, f"{folder}/{sha}/data.bin", sha))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=upload) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(set(found)) == 1
    assert [entry.path for entry in files.list(folder)] == [f"{folder}/{sha}"]


def test_a_rename_never_overwrites_and_never_moves_into_a_folder(files, folder):
    files.write_many(folder, {"a": b"a", "b": b"b"})
    files.mkdirs(f"{folder}/empty")
    with pytest.raises(RemoteFileExists):
        files.rename(f"{folder}/a", f"{folder}/b")
    with pytest.raises(KnitError):
        files.rename(f"{folder}/a", f"{folder}/empty")
    assert files.list(f"{folder}/empty") == []
    assert files.read(f"{folder}/b") == b"b"
    files.rename(f"{folder}/a", f"{folder}/c")
    assert files.read(f"{folder}/c") == b"a"
    with pytest.raises(RemoteFileNotFound):
        files.rename(f"{folder}/a", f"{folder}/d")


def test_deleting_a_folder_with_something_in_it_has_to_be_meant(files, folder):
    files.write_many(f"{folder}/x", {"a": b"a"})
    with pytest.raises(RemoteFileExists):
        files.delete(f"{folder}/x")
    assert files.delete(f"{folder}/x", recursive=True) is True
    assert files.status(f"{folder}/x") is None


def test_a_touch_makes_a_file_and_then_moves_its_time_only(files, folder):
    files.touch(f"{folder}/lease")
    first = files.status(f"{folder}/lease")
    assert (first.length, first.permission) == (0, "600")
    files.write_many(folder, {"lease": b"content"}, overwrite=True)
    before = files.status(f"{folder}/lease").modified_ms
    while True:
        files.touch(f"{folder}/lease")
        if files.status(f"{folder}/lease").modified_ms > before:
            break
    assert files.read(f"{folder}/lease") == b"content"


def test_free_space_is_told(files, folder):
    space = files.free(folder)
    if isinstance(files, NativeFiles):
        assert space.capacity is None, "hdfs-native can tell it now: let it"
    else:
        assert 0 < space.remaining <= space.capacity
    assert (space.space_quota, space.name_quota) == (None, None)


def test_somebody_elses_files_are_refused(files):
    with pytest.raises(PermissionDenied, match="alice"):
        files.list("/user/bob")
    with pytest.raises(PermissionDenied):
        files.mkdirs("/user/bob/x")
    with pytest.raises(PermissionDenied):
        files.write_many("/user/bob/x", {"a": b""})


def without_java(conf, kind):
    """A fresh implementation that needs no JVM."""
    return web(conf) if kind == "webhdfs" else NativeFiles(conf.default_fs, conf, USER)


@pytest.mark.parametrize("kind", ["hdfs-native", "webhdfs"])
@pytest.mark.parametrize("name", ["a b", "é", "100%", "a+b", "x&y=z", "q?u#h", "日本", "s*[1]{x}\\"])
def test_odd_names_are_kept(conf, name, kind):
    serving = without_java(conf, kind)
    base = f"{serving.uri_home()}/test-{uuid.uuid4().hex}"
    try:
        serving.write_many(base, {name: b"content"})
        assert serving.read(f"{base}/{name}") == b"content"
        assert [status.path for status in serving.list(base)] == [f"{base}/{name}"]
    finally:
        serving.delete(base, recursive=True)


@pytest.mark.parametrize("kind", ["hdfs-native", "webhdfs"])
def test_a_quota_shows_and_its_excess_is_named(cluster, conf, kind):
    admin = NameNodes(conf.namenode_web_addresses(), os.environ.get("USER") or "root")
    path = f"/user/{USER}/quota-{uuid.uuid4().hex}"
    serving = without_java(conf, kind)
    serving.mkdirs(path)
    try:
        admin.call("PUT", "SETQUOTA", path, namespacequota=3, storagespacequota=1_000_000_000)
        space = serving.free(path)
        assert (space.name_quota, space.space_quota, space.name_used) == (3, 1_000_000_000, 1)
        with pytest.raises(ConfigurationError, match="quota"):
            serving.write_many(path, {"a": b"", "b": b"", "c": b""})
    finally:
        serving.delete(path, recursive=True)


def test_a_namenode_that_is_not_there_is_named_at_once(conf):
    nobody = WebHDFS(conf.default_fs, NameNodes(["http://127.0.0.1:1"], USER))
    with pytest.raises(ClusterUnavailable, match=r"127\.0\.0\.1:1"):
        nobody.status("/")


def test_a_wrong_port_is_named_as_one(conf, cluster):
    resource_manager = WebHDFS(conf.default_fs, NameNodes([f"http://{cluster.rm_web}"], USER))
    with pytest.raises(ClusterUnavailable, match="9870"):
        resource_manager.status("/")


def test_of_two_namenodes_the_one_that_answers_is_asked_again(conf):
    both = NameNodes(["http://127.0.0.1:1", *conf.namenode_web_addresses()], USER)
    serving = WebHDFS(conf.default_fs, both)
    assert serving.status("/").is_dir
    assert both._in_order()[0] == conf.namenode_web_addresses()[0]
