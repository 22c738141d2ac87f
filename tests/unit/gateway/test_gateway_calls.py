"""What calls answer: values, errors that name whom they talked to, deadlines."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.files.through_gateway import GatewayFiles
from knit_provider.yarn.gateway.registry import Gateway
from tests.unit.gateway.conftest import eventually
from tests.unit.gateway.servers import BlackHole, closed_port

RM = "yarn.resourcemanager.address"
FS = "fs.defaultFS"


def test_a_resource_manager_that_is_down(make_gateway: Callable[..., Gateway]) -> None:
    address = f"127.0.0.1:{closed_port()}"
    with pytest.raises(
        ClusterUnavailable, match=rf"ResourceManager at {address} cannot be reached: Connection refused"
    ):
        make_gateway({RM: address}).call("new_application", deadline=30)


def test_two_resource_managers_that_are_down(make_gateway: Callable[..., Gateway]) -> None:
    one, two = (f"127.0.0.1:{closed_port()}" for _ in range(2))
    ha = {
        "yarn.resourcemanager.ha.enabled": "true",
        "yarn.resourcemanager.ha.rm-ids": "rm1,rm2",
        "yarn.resourcemanager.cluster-id": "c",
        f"{RM}.rm1": one,
        f"{RM}.rm2": two,
    }
    with pytest.raises(ClusterUnavailable, match=rf"ResourceManager at {one} or {two} cannot be reached"):
        make_gateway(ha).call("new_application", deadline=40)


def test_a_resource_manager_whose_host_nobody_knows(make_gateway: Callable[..., Gateway]) -> None:
    with pytest.raises(ClusterUnavailable, match=r"nosuchhost\.invalid:8032 cannot be reached: unknown host"):
        make_gateway({RM: "nosuchhost.invalid:8032"}).call("new_application", deadline=30)


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""]
)
def test_a_port_that_is_something_else(make_gateway: Callable[..., Gateway], greeting: bytes) -> None:
    with (
        BlackHole(greeting) as server,
        pytest.raises(ClusterUnavailable, match=rf"{server.address} cannot be reached: .*is the port right\?"),
    ):
        make_gateway({RM: server.address}).call("new_application", deadline=30)


def test_a_port_that_says_nothing_ends_with_the_deadline(make_gateway: Callable[..., Gateway]) -> None:
    with (
        BlackHole() as server,
        pytest.raises(ClusterUnavailable, match=rf"{server.address} gave no answer within 2\.0 s"),
    ):
        make_gateway({RM: server.address}).call("new_application", deadline=2)


def test_a_namenode_that_is_down(make_gateway: Callable[..., Gateway]) -> None:
    filesystem = f"hdfs://127.0.0.1:{closed_port()}"
    files = GatewayFiles(make_gateway({FS: filesystem}))
    with pytest.raises(ClusterUnavailable, match=rf"The filesystem {filesystem} cannot be reached: Connection refused"):
        files.status("/x")
    with pytest.raises(ClusterUnavailable, match=r"The filesystem of hdfs://nosuchhost\.invalid:8020/x .*unknown host"):
        files.status("hdfs://nosuchhost.invalid:8020/x")


def test_a_filesystem_nobody_knows(gateway: Gateway) -> None:
    with pytest.raises(KnitError, match=r'No FileSystem for scheme "gopher"'):
        GatewayFiles(gateway).status("gopher://x/y")


def test_a_configuration_file_that_is_not_there(make_gateway: Callable[..., Gateway]) -> None:
    with pytest.raises(ConfigurationError, match=r"/nonexistent/core-site\.xml does not exist"):
        make_gateway(conf_resources=("/nonexistent/core-site.xml",)).call("hello")


def test_a_configuration_file_that_is_no_xml(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    (tmp_path / "core-site.xml").write_text("<configuration><property>")
    with pytest.raises(ConfigurationError, match=r"the configuration cannot be read: .*core-site\.xml"):
        make_gateway(conf_resources=(str(tmp_path / "core-site.xml"),)).call("hello")


def test_single_settings_win_over_files_that_call_themselves_final(
    make_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    site = tmp_path / "core-site.xml"
    site.write_text(
        "<configuration><property><name>fs.defaultFS</name><value>hdfs://elsewhere:1</value>"
        "<final>true</final></property></configuration>"
    )
    assert make_gateway({FS: "file:///"}, conf_resources=(str(site),)).call("hello")["default_fs"] == "file:///"


def test_the_environments_configuration_is_not_read(
    make_gateway: Callable[..., Gateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "core-site.xml").write_text(
        "<configuration><property><name>fs.defaultFS</name><value>hdfs://ambient:1</value></property></configuration>"
    )
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("HADOOP_USER_NAME", "ambient")
    hello = make_gateway().call("hello")
    assert (hello["default_fs"], hello["user"]) == ("file:///", "alice")


def test_a_method_that_is_not_there(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationError, match=r"no method format_disk; it has hello, new_application"):
        gateway.call("format_disk")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "path is missing"),
        ({"path": 3}, "path has to be a string, not 3"),
        ({"path": ""}, "path is , which is not a path"),
    ],
)
def test_bad_arguments_are_named(gateway: Gateway, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        gateway.call("fs.status", **arguments)


def test_any_text_survives_the_way(gateway: Gateway, tmp_path: Path) -> None:
    name = "a \"b\" 'c' $d \\e ünïcödé 😀 \t {{X}} <LOG_DIR>"
    (tmp_path / name).write_text("")
    found = GatewayFiles(gateway).status(f"{tmp_path}/{name}")
    assert found is not None
    assert GatewayFiles(gateway).status(f"{tmp_path}/line\nbreak") is None


def test_many_threads_share_one_gateway(gateway: Gateway, tmp_path: Path) -> None:
    for index in range(200):
        (tmp_path / str(index)).write_bytes(b"x" * index)
    files = GatewayFiles(gateway)

    def length(index: int) -> int:
        found = files.status(f"{tmp_path}/{index}")
        assert found is not None
        return found.length

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(length, range(200))) == list(range(200))


def test_a_call_may_last_longer_than_one_answer(
    make_gateway: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 20 s is when the gateway says that it is still at it. The RPC's own limit is the same, so the RM is tried twice.
    with BlackHole() as server:
        gateway = make_gateway({RM: server.address})
        asked = []
        gateway.start()
        client = gateway._client
        assert client is not None
        original = client._ask

        def ask(method: str, *args: object, **kwargs: object) -> object:
            asked.append(method)
            return original(method, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(client, "_ask", ask)
        with pytest.raises(ClusterUnavailable):
            gateway.call("new_application", deadline=22)
    assert asked == ["new_application", "call.wait"]


def test_giving_up_a_call_cancels_it(make_gateway: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> None:
    with BlackHole() as server:
        gateway = make_gateway({RM: server.address})
        gateway.start()
        client = gateway._client
        assert client is not None
        connection = client._take()

        def interrupted(method: str, request: str) -> str:
            def later() -> None:
                server.wait_for_visitor()
                connection._socket.shutdown(2)

            threading.Thread(target=later).start()
            try:
                type(connection).call(connection, method, request)
            except OSError:
                raise KeyboardInterrupt from None
            raise AssertionError("the call came to an end")

        monkeypatch.setattr(connection, "call", interrupted)
        client._idle.append(connection)
        cancelled = []
        original = client._cancel
        monkeypatch.setattr(client, "_cancel", lambda call: (cancelled.append(call), original(call)))
        with pytest.raises(KeyboardInterrupt):
            gateway.call("new_application")
        (call,) = cancelled
        eventually(
            lambda: not client._ask("call.cancel", json.dumps({"call": call}), call, None)["ok"], "the call is no more"
        )


class TestLocalFilesystem:
    """The same code serves every filesystem of Hadoop's; this one needs no daemon."""

    @pytest.fixture
    def files(self, gateway: Gateway) -> GatewayFiles:
        return GatewayFiles(gateway)

    def test_put_is_whole_private_and_idempotent(self, files: GatewayFiles, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(os.urandom(300_000))
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        target = tmp_path / "cache" / digest / "source"
        status = files.put(source, str(target), digest)
        assert target.read_bytes() == source.read_bytes()
        assert (status.length, status.permission, status.path) == (300_000, "600", f"file:{target}")
        assert target.parent.stat().st_mode & 0o777 == 0o700
        assert files.put(source, str(target), digest) == status
        assert [path.name for path in target.parent.parent.iterdir() if path.name.startswith(".tmp")] == []

    def test_put_never_overwrites(self, files: GatewayFiles, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_text("new")
        target.write_text("old")
        with pytest.raises(RemoteFileExists, match=rf"{target} exists already, with other content than {source}"):
            files.put(source, str(target))
        assert target.read_text() == "old"

    def test_put_follows_links(self, files: GatewayFiles, tmp_path: Path) -> None:
        (tmp_path / "real").write_text("content")
        (tmp_path / "link").symlink_to("real")
        assert files.put(tmp_path / "link", str(tmp_path / "out")).length == 7

    @pytest.mark.parametrize(("kind", "words"), [("missing", "does not exist"), ("folder", "not a file but a folder")])
    def test_put_of_what_is_no_file(self, files: GatewayFiles, tmp_path: Path, kind: str, words: str) -> None:
        if kind == "folder":
            (tmp_path / kind).mkdir()
        with pytest.raises(ConfigurationError, match=words) as caught:
            files.put(tmp_path / kind, str(tmp_path / "out"))
        assert str(tmp_path / kind) in str(caught.value)
        assert not (tmp_path / "out").exists()

    def test_put_of_another_digest_publishes_nothing(self, files: GatewayFiles, tmp_path: Path) -> None:
        (tmp_path / "source").write_text("content")
        with pytest.raises(ConfigurationError, match=r"source changed while it was uploaded; nothing was published"):
            files.put(tmp_path / "source", str(tmp_path / "out" / "x"), "0" * 64)
        assert list((tmp_path / "out").iterdir()) == []

    def test_put_of_a_file_that_grows_publishes_nothing(self, files: GatewayFiles, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"x" * 5_000_000)
        stop = threading.Event()

        def grow() -> None:
            with source.open("ab") as out:
                while not stop.is_set():
                    out.write(b"y" * 1000)
                    out.flush()

        writer = threading.Thread(target=grow)
        writer.start()
        try:
            with pytest.raises(ConfigurationError, match=r"source changed while it was uploaded"):
                files.put(source, str(tmp_path / "out" / "x"))
        finally:
            stop.set()
            writer.join()
        assert list((tmp_path / "out").iterdir()) == []

    def test_write_many_narrows_the_folder(self, files: GatewayFiles, tmp_path: Path) -> None:
        folder = tmp_path / "staging"
        folder.mkdir(mode=0o755)
        contents = {f"file-{index}": os.urandom(index) for index in range(20)}
        statuses = files.write_many(str(folder), contents)
        assert {name: status.length for name, status in statuses.items()} == {n: len(c) for n, c in contents.items()}
        assert folder.stat().st_mode & 0o777 == 0o700
        for name, content in contents.items():
            assert (folder / name).read_bytes() == content
            assert (folder / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(RemoteFileExists):
            files.write_many(str(folder), {"file-1": b"other"})
        assert files.write_many(str(folder), {"file-1": b"other"}, overwrite=True)["file-1"].length == 5

    def test_read(self, files: GatewayFiles, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"\x00\xff" * 50)
        assert files.read(str(tmp_path / "x")) == b"\x00\xff" * 50
        assert files.read(str(tmp_path / "x"), max_bytes=100) == b"\x00\xff" * 50
        with pytest.raises(ConfigurationError, match="longer than the 99 bytes"):
            files.read(str(tmp_path / "x"), max_bytes=99)
        with pytest.raises(RemoteFileNotFound, match="nothing-here"):
            files.read(str(tmp_path / "nothing-here"))

    def test_get(self, files: GatewayFiles, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(os.urandom(1_000_000))
        assert files.get(str(tmp_path / "x"), tmp_path / "y") == 1_000_000
        assert (tmp_path / "y").read_bytes() == (tmp_path / "x").read_bytes()

    def test_rename_never_overwrites(self, files: GatewayFiles, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).write_text(name)
        with pytest.raises(RemoteFileExists, match="b exists already"):
            files.rename(str(tmp_path / "a"), str(tmp_path / "b"))
        files.rename(str(tmp_path / "a"), str(tmp_path / "c"))
        assert (tmp_path / "c").read_text() == "a"
        assert (tmp_path / "b").read_text() == "b"

    def test_list_delete_touch_mkdirs_free(self, files: GatewayFiles, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        files.mkdirs(str(folder), "750")
        assert folder.stat().st_mode & 0o777 == 0o750
        files.mkdirs(str(folder), "700")
        assert folder.stat().st_mode & 0o777 == 0o750, "one that exists is left as it is"
        files.touch(str(folder / "lease"))
        os.utime(folder / "lease", (1, 1))
        files.touch(str(folder / "lease"))
        (entry,) = files.list(str(folder))
        assert entry.modified_ms > 1_000_000
        assert files.list(str(folder), limit=0) == []
        with pytest.raises(RemoteFileNotFound):
            files.list(str(tmp_path / "absent"))
        with pytest.raises(KnitError):
            files.delete(str(folder))
        assert files.delete(str(folder), recursive=True) is True
        assert files.delete(str(folder), recursive=True) is False
        with pytest.raises(ConfigurationError, match="root of a filesystem is not deleted"):
            files.delete("/", recursive=True)
        assert (files.free("/").capacity or 0) > 0

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_put_of_an_unreadable_file(self, files: GatewayFiles, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("x")
        (tmp_path / "x").chmod(0)
        with pytest.raises((ConfigurationError, PermissionDenied), match="permission denied"):
            files.put(tmp_path / "x", str(tmp_path / "out"))


def test_the_class_archive_is_made_used_and_not_relied_upon(
    make_gateway: Callable[..., Gateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "knit-provider" / "gateway"
    first = make_gateway(class_archive=True)
    first.call("hello")
    eventually(lambda: any(folder.glob("*.jsa")), "an archive was made", 120)
    (archive,) = folder.glob("*.jsa")
    eventually(lambda: not any(folder.glob("*.part")), "its parts are tidied away")
    first.close()
    assert [path.name for path in folder.iterdir()] == [archive.name]
    second = make_gateway(class_archive=True)
    second.start()
    assert str(archive) in Path(f"/proc/{second.pid}/maps").read_text()
    second.close()
    archive.write_bytes(archive.read_bytes()[:100_000])
    # Where the JVM says what it broke on.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    third = make_gateway(class_archive=True)
    assert third.call("hello")["user"] == "alice"
    assert list(tmp_path.glob("knit-gateway-*.log"))


def test_a_cache_that_others_can_write_is_not_trusted(
    make_gateway: Callable[..., Gateway], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "knit-provider" / "gateway"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    gateway = make_gateway(class_archive=True)
    gateway.start()
    assert "jsa" not in Path(f"/proc/{gateway.pid}/cmdline").read_text()
    assert list(folder.iterdir()) == []
