"""Bad input and trouble: one clear error with the way out, within seconds, and nothing submitted or left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knit_provider import ApplicationSpec, Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import (
    CheckFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
    SubmissionRejected,
)
from tests.hadoop.eventually import eventually


def known_ids(knit: Knit) -> set[str]:
    return {a["id"] for a in knit.yarn_api.find(user="alice")}


def staged(knit: Knit) -> list[str]:
    files, paths = knit.connection.files, knit.connection.paths
    try:
        return [s.path for s in files.list(paths.apps)]
    except FileNotFoundError:
        return []


@pytest.fixture
def nothing_left(knit: Knit) -> Iterator[None]:
    """The test leaves no application and no staging directory of its own."""
    before_apps, before_staging = known_ids(knit), set(staged(knit))
    yield
    assert known_ids(knit) <= before_apps, "something was submitted"
    assert set(staged(knit)) <= before_staging, "something was left in staging"


@pytest.fixture
def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def chatterbox() -> Iterator[int]:
    """A port behind which something speaks no protocol of Hadoop's."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        stop = threading.Event()

        def serve() -> None:
            server.settimeout(0.1)
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.sendall(b"220 mail.example.com ESMTP ready\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        stop.set()
        thread.join()


def conf_with(cluster: LocalCluster, folder: Path, **replaced: str) -> str:
    """A copy of the cluster's files in which some properties are replaced (``__`` stands for a dot)."""
    folder.mkdir(exist_ok=True)
    for site in Path(cluster.conf_dir).glob("*-site.xml"):
        text = site.read_text()
        for key, value in replaced.items():
            name = key.replace("__", ".")
            head, found, tail = text.partition(f"<name>{name}</name>")
            if found:
                text = head + found + "<value>" + value + "</value>" + tail.split("</value>", 1)[1]
        (folder / site.name).write_text(text)
    return str(folder)


@pytest.mark.usefixtures("nothing_left")
class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            ({"num_containers": -1}, "num_containers"),
            ({"num_containers": 1.5}, "num_containers"),
            ({"num_containers": True}, "num_containers"),
            ({"num_containers": 10**12}, "num_containers|instances"),
            ({"memory": 0}, "memory"),
            ({"memory": "lots"}, "lots"),
            ({"memory": float("nan")}, "memory"),
            ({"virtual_cores": 0}, "virtual_cores"),
            ({"lifetime": 0}, "lifetime"),
            ({"max_attempts": 0}, "max_attempts"),
            ({"cmd": ""}, "script|argv|command"),
            ({"cmd": "echo \0"}, "NUL|zero|\\\\x00|0 byte"),
            ({"app_name": "two\nlines"}, "name"),
            ({"tags": ["ü"]}, "ü"),
            ({"tags": ["x" * 101]}, "100"),
            ({"tags": [f"t{i}" for i in range(11)]}, "tags"),
            ({"queue": "no such queue"}, "queue"),
            ({"queue": "nosuch"}, "nosuch"),
            ({"queue": "stopped"}, "stopped"),
            ({"memory": "1 TiB"}, "allocation|maximum"),
            ({"virtual_cores": 100000}, "vcores|cores"),
            ({"container_resources": {"yarn.io/unicorn": 1}}, "unicorn"),
            ({"files": ["/no/such/file"]}, "/no/such/file"),
            ({"files": ["/etc"], "env": "/no/env.tar.gz"}, "/no/env.tar.gz"),
            ({"files": ["hdfs:///no/such/file"]}, "/no/such/file"),
            ({"env": "/etc/hostname"}, "/etc/hostname"),
            ({"env": "conda://base"}, "conda"),
            ({"envvars": {"A B": "x"}}, "A B"),
            ({"envvars": {"A": 1}}, "A"),
            ({"am_port_range": "9-1"}, "port"),
            ({"app_id": "application_x"}, "application_x"),
        ],
        ids=lambda v: str(v)[:40],
    )
    def test_bad_argument(self, knit: Knit, arguments: dict[str, Any], word: str) -> None:
        with pytest.raises(KnitError, match=f"(?i){word}"):
            knit.start(arguments.pop("cmd", "true"), **arguments)

    def test_a_mapping_as_env_names_envvars(self, knit: Knit) -> None:
        with pytest.raises(TypeError, match="envvars"):
            knit.start("true", env={"A": "b"})  # type: ignore[arg-type]

    def test_a_file_that_cannot_be_read(self, knit: Knit, tmp_path: Path) -> None:
        (tmp_path / "pipe").touch()
        os.unlink(tmp_path / "pipe")
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigurationError, match="pipe"):
            knit.start("true", files=[str(tmp_path / "pipe")])

    def test_equal_names_are_told_apart(self, knit: Knit, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.txt").write_text(folder)
        with pytest.raises(ConfigurationError, match=r"x\.txt"):
            knit.start("true", files=[str(tmp_path / "a" / "x.txt"), str(tmp_path / "b" / "x.txt")])

    def test_unknown_parameter(self) -> None:
        with pytest.raises(ConfigurationError, match="replication_factor"):
            Knit(autodetect=False, replication_facter=2)

    def test_a_spec_names_the_field(self) -> None:
        with pytest.raises(ConfigurationError, match=r"services\.w\.resources\.memory"):
            ApplicationSpec.from_dict({"services": {"w": {"script": "true", "resources": {"memory": "big"}}}})


class TestUnreachable:
    @pytest.mark.parametrize("where", ["closed port", "not YARN", "unknown host"])
    def test_resource_manager(
        self, where: str, free_port: int, chatterbox: int, make_knit: Callable[..., Knit], cluster: LocalCluster
    ) -> None:
        host, port = {
            "closed port": ("127.0.0.1", free_port),
            "not YARN": ("127.0.0.1", chatterbox),
            "unknown host": ("rm.nowhere.invalid", 8088),
        }[where]
        lost = make_knit(rm=host, rm_port=port)
        with pytest.raises(ClusterUnavailable, match=f"{host}:{port}"):
            lost.start("true")

    def test_rpc_port_of_the_resource_manager(
        self, free_port: int, make_knit: Callable[..., Knit], cluster: LocalCluster, tmp_path: Path, knit: Knit
    ) -> None:
        before, in_staging = known_ids(knit), set(staged(knit))
        conf = conf_with(cluster, tmp_path / "conf", yarn__resourcemanager__address=f"127.0.0.1:{free_port}")
        lost = make_knit(hadoop_conf_dir=conf, bridge="jvm")
        with pytest.raises(ClusterUnavailable, match=str(free_port)):
            lost.start("true")
        assert known_ids(knit) <= before
        assert set(staged(knit)) <= in_staging

    @pytest.mark.parametrize("kind", ["rest", "auto", "jvm"])
    def test_name_node(self, free_port: int, make_knit: Callable[..., Knit], knit: Knit, kind: str) -> None:
        before = known_ids(knit)
        lost = make_knit(nn="127.0.0.1", nn_port=free_port, bridge=kind)
        with pytest.raises(ClusterUnavailable, match=str(free_port)):
            lost.start("true")
        assert known_ids(knit) == before

    def test_no_configuration_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME", "HADOOP_INSTALL"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(KnitError, match=r"8088|not configured|HADOOP_CONF_DIR"):
            Knit(autodetect=False).start("true")

    def test_conf_path_that_is_not_there(self) -> None:
        with pytest.raises(ConfigurationError, match="/no/such/conf"):
            Knit(hadoop_conf_dir="/no/such/conf")

    def test_malformed_xml(self, tmp_path: Path) -> None:
        (tmp_path / "core-site.xml").write_text("<configuration><property><name>x</name>")
        with pytest.raises(ConfigurationError, match=r"core-site\.xml"):
            Knit(hadoop_conf_dir=str(tmp_path))


class TestJava:
    def test_no_java(
        self, make_knit: Callable[..., Knit], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, knit: Knit
    ) -> None:
        before = known_ids(knit)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("JAVA_HOME", raising=False)
        with pytest.raises(KnitError, match=r"(?i)java"):
            # A configuration of its own, since a gateway that runs already needs no Java to be found.
            make_knit(pars={"knit.test.marker": "no java"}, bridge="jvm").start("true")
        assert known_ids(knit) == before

    def test_wrong_java(self, make_knit: Callable[..., Knit], tmp_path: Path) -> None:
        home = tmp_path / "jdk-11"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
        (home / "bin" / "java").chmod(0o755)
        (home / "release").write_text('JAVA_VERSION="11.0.2"\n')
        with pytest.raises(KnitError, match="11"):
            make_knit(java_home=str(home), bridge="jvm").start("true")

    def test_no_jar(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"knit\.jar"):
            Knit(autodetect=False, knit_home=str(tmp_path))

    def test_a_killed_gateway_is_said_and_replaced(self, make_knit: Callable[..., Knit], marker: str) -> None:
        k = make_knit(pars={"knit.test.marker": marker}, bridge="jvm")
        bridge = k.connection.bridge
        bridge.hello()
        pid = bridge._lease.gateway.pid  # type: ignore[attr-defined]
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ClusterUnavailable):
            # The call that finds the JVM dead may say so, or may find it dead early enough to start another.
            bridge.hello()
        assert bridge.hello()["user"] == "alice"
        k.start(f"echo {marker}")
        assert k.wait_for_completion(90)


class TestRefused:
    def test_no_home_in_hdfs(self, make_knit: Callable[..., Knit], knit: Knit) -> None:
        with pytest.raises(KnitError, match="carol"):
            make_knit(user="carol").start("true")
        assert knit.yarn_api.find(user="carol") == []

    def test_somebody_elses_folder(self, make_knit: Callable[..., Knit], knit: Knit) -> None:
        with pytest.raises((PermissionDenied, CheckFailed), match="/user/bob"):
            make_knit(hdfs_home="/user/bob").start("true")

    def test_without_checks_the_resource_manager_says_no(self, make_knit: Callable[..., Knit], knit: Knit) -> None:
        in_staging = set(staged(knit))
        with pytest.raises(SubmissionRejected, match="nosuch"):
            knit.start("true", queue="nosuch", checks=False)
        assert set(staged(knit)) <= in_staging


class TestWhileItRuns:
    def test_a_nodemanager_that_hangs_delays_no_other(self, knit: Knit, cluster: LocalCluster, marker: str) -> None:
        knit.start(f"echo {marker}; sleep 300", num_containers=4)
        eventually(lambda: len([c for c in knit.get_containers() if c["service"] and c["state"] == "RUNNING"]) == 4)
        eventually(lambda: sum(marker in str(f.get("stdout", "")) for f in knit.logs().values()) == 4)
        master = next(c for c in knit.get_containers() if c["service"] is None)["nodeId"].rpartition(":")[2]
        other = next(
            name
            for name, daemon in cluster.daemons.items()
            if name.startswith("nodemanager") and not any(a.endswith(f":{master}") for a in daemon.addresses.values())
        )
        cluster.daemons[other].kill(signal.SIGSTOP)
        try:
            found = knit.logs()
            assert any(marker in str(f.get("stdout", "")) for f in found.values())
            assert any("problem" in f for f in found.values())
            assert len(knit.get_containers()) == 5
        finally:
            cluster.daemons[other].kill(signal.SIGCONT)
        assert knit.kill()

    def test_a_blocked_control_port(self, make_knit: Callable[..., Knit]) -> None:
        k = make_knit(am_timeout=5)
        k.start("sleep 300")
        eventually(lambda: k.runtime_status() == "RUNNING")
        report = k.application().report()
        pid = _listener(report.am_port)
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(KnitError, match=str(report.am_port)):
                k.application().scale("default", 2)
            assert k.runtime_status() == "RUNNING"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert k.kill()


def _listener(port: int) -> int:
    import psutil

    for c in psutil.net_connections("tcp"):
        if c.laddr and c.laddr.port == port and c.status == psutil.CONN_LISTEN and c.pid:
            return int(c.pid)
    raise AssertionError(f"nothing listens on {port}")


def test_a_file_that_changes_during_the_upload(knit: Knit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest was taken; then it changes. What would be in the cache under that digest is something else."""
    from knit_provider.yarn.files import transfer

    target = tmp_path / "data.bin"
    target.write_bytes(os.urandom(1024))
    original = transfer.Transfer._upload

    def change_first(self: transfer.Transfer, prepared: Any) -> Any:
        target.write_bytes(os.urandom(2048))
        return original(self, prepared)

    monkeypatch.setattr(transfer.Transfer, "_upload", change_first)
    in_staging = set(staged(knit))
    with pytest.raises(KnitError, match=r"data\.bin"):
        knit.start("true", files=[str(target)])
    assert set(staged(knit)) <= in_staging


def test_modes_survive(knit: Knit, tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\necho it runs\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    knit.start("./run.sh", files=[str(script)])
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
