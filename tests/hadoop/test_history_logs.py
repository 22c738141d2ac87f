"""Aggregated logs through the history server: what the JVM's own readers give, byte for byte, and without a JVM."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.bridge.base import AggregatedContainer
from knit_provider.yarn.bridge.jvm import JvmBridge
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ClusterUnavailable, PermissionDenied
from knit_provider.yarn.files.choose import ChosenFiles
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.rest import Session, history
from knit_provider.yarn.rest.history import HistoryLogs
from tests.hadoop.fronts import Front, front
from tests.hadoop.support import api_of, submit_shell, until

USER = "alice"
ODD = "odd & <x>;%41 b+é"
LARGE = 30 * 2**20

WRITE = f"""
import os
logs = os.path.dirname(os.environ["KNIT_RESULT"])
def write(name, content):
    with open(os.path.join(logs, name), "wb") as out:
        out.write(content)
print("container", os.environ["KNIT_INDEX"])
write("binary", bytes(range(256)) * 500)
write("empty", b"")
write("unended", b"no newline")
write({ODD!r}, "&lt;żółw>".encode())
tail = b"x\\nEnd of LogType:like-a-tail\\n" + b"*" * 30
write("like-a-tail", tail + b"\\n\\nContainer: \\nLogLength:3\\nLogContents:\\nabc\\n")
if os.environ["KNIT_INDEX"] == "0":
    write("large", b"".join(b"%010d\\r\\n" % i for i in range({LARGE} // 12)))
"""


@pytest.fixture(scope="module")
def conf(cluster: LocalCluster) -> HadoopConf:
    return HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir))


@pytest.fixture(scope="module")
def logs(conf: HadoopConf) -> Iterator[HistoryLogs]:
    with Session(conf, user=USER) as session:
        yield HistoryLogs(session, files=ChosenFiles(conf, USER))


@pytest.fixture(scope="module")
def app_id(cluster: LocalCluster, conf: HadoopConf) -> Iterator[str]:
    """An application of several containers that has ended, with its logs aggregated."""
    knit = Knit(hadoop_conf_dir=str(cluster.conf_dir), hadoop_home=str(cluster.hadoop_home), user=USER)
    started = knit.start(["python3", "-c", WRITE], num_containers=4, memory=64)
    assert knit.wait_for_completion(120), knit.status()["diagnostics"]
    settled(cluster, started)
    yield started
    knit.close()


@pytest.fixture(scope="module")
def jvm(cluster: LocalCluster, conf: HadoopConf) -> Iterator[JvmBridge]:
    bridge = JvmBridge(conf, user=USER, hadoop_home=str(cluster.hadoop_home))
    yield bridge
    bridge.close()


def settled(cluster: LocalCluster, app_id: str) -> None:
    api = api_of(cluster)
    until(lambda: api.apps_info(app_id).get("logAggregationStatus") == "SUCCEEDED", "the logs")


def listed(containers: list[AggregatedContainer]) -> dict[str, tuple[str, dict[str, int]]]:
    return {c.id: (c.node, {file.name: file.length for file in c.files}) for c in containers}


@pytest.fixture(scope="module")
def without_server(conf: HadoopConf) -> Iterator[HistoryLogs]:
    """As on Hadoop 3.1, or with the history server away: what lies in HDFS is read there."""
    with Session(away(conf), user=USER) as session:
        yield HistoryLogs(session, files=ChosenFiles(conf, USER))


@pytest.fixture(params=["server", "filesystem"])
def either(request: pytest.FixtureRequest) -> HistoryLogs:
    found: HistoryLogs = request.getfixturevalue({"server": "logs", "filesystem": "without_server"}[request.param])
    return found


def test_it_lists_what_the_jvm_lists(either: HistoryLogs, jvm: JvmBridge, app_id: str) -> None:
    found = listed(either.aggregated_containers(app_id, USER))
    assert found == listed(jvm.aggregated_containers(app_id, USER))
    assert len(found) == 5
    assert len({node for node, _ in found.values()}) == 2, "on both nodes"


def test_every_byte_is_as_the_jvm_gives_it(either: HistoryLogs, jvm: JvmBridge, app_id: str, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    names = set()
    for container in either.aggregated_containers(app_id, USER):
        for file in container.files:
            length = either.read_aggregated(app_id, USER, container, file.name, ours)
            jvm.read_aggregated(app_id, USER, container, file.name, theirs)
            assert ours.read_bytes() == theirs.read_bytes(), (container.id, file.name)
            assert length == file.length == ours.stat().st_size
            names.add(file.name)
    assert {"binary", "empty", "unended", ODD, "like-a-tail", "large", "stdout"} <= names


def test_contents_are_what_was_written(logs: HistoryLogs, app_id: str, tmp_path: Path) -> None:
    container = next(c for c in logs.aggregated_containers(app_id, USER) if any(f.name == "large" for f in c.files))
    out = tmp_path / "out"
    assert logs.read_aggregated(app_id, USER, container, "binary", out) == 256 * 500
    assert out.read_bytes() == bytes(range(256)) * 500
    assert logs.read_aggregated(app_id, USER, container, "large", out) == LARGE // 12 * 12
    assert out.read_bytes()[-24:] == b"%010d\r\n%010d\r\n" % (LARGE // 12 - 2, LARGE // 12 - 1)
    logs.read_aggregated(app_id, USER, container, ODD, out)
    assert out.read_text() == "&lt;żółw>"


def test_an_application_of_another_owner_and_another_type(
    cluster: LocalCluster, conf: HadoopConf, tmp_path: Path
) -> None:
    app = submit_shell(cluster, "echo of bob", user="bob")
    settled(cluster, app)
    # Nothing keeps others from it here: yarn.acl.enable is false.
    for user in ("bob", USER):
        with Session(conf, user=user) as session:
            logs = HistoryLogs(session)
            (container,) = logs.aggregated_containers(app, "bob")
            logs.read_aggregated(app, "bob", container, "stdout", tmp_path / "out")
        assert (tmp_path / "out").read_text() == "of bob\n"


def test_what_is_not_there_is_said_so(either: HistoryLogs, app_id: str, tmp_path: Path) -> None:
    container = either.aggregated_containers(app_id, USER)[0]
    with pytest.raises(RemoteFileNotFound, match="nosuch"):
        either.read_aggregated(app_id, USER, container, "nosuch", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    unknown = f"{app_id.rpartition('_')[0]}_9999"
    with pytest.raises(RemoteFileNotFound, match=unknown):
        either.aggregated_containers(unknown, USER)
    forgotten = AggregatedContainer(f"container_{unknown.removeprefix('application_')}_01_000001", "n:1", ())
    with pytest.raises(RemoteFileNotFound):
        either.read_aggregated(unknown, USER, forgotten, "stdout", tmp_path / "out")


def away(conf: HadoopConf, **pars: str) -> HadoopConf:
    """The cluster with its log servers somewhere else."""
    keys = ("yarn.log.server.web-service.url", "yarn.log.server.url", "mapreduce.jobhistory.webapp.address")
    return HadoopConf.load(hadoop_conf_dir=conf.directories[0], pars=dict.fromkeys(keys, "") | pars)


def test_a_history_server_that_is_away_leaves_the_folders_name(conf: HadoopConf, app_id: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    gone = away(conf, **{"mapreduce.jobhistory.webapp.address": f"127.0.0.1:{port}"})
    with Session(gone, user=USER) as session, pytest.raises(ClusterUnavailable) as caught:
        HistoryLogs(session).aggregated_containers(app_id, USER)
    folders = str(caught.value).rpartition("They lie in ")[2].split(" or ")
    files = ChosenFiles(conf, USER)
    assert any(files.status(folder) for folder in folders), "the folder is a real one"
    assert str(port) in str(caught.value)
    with Session(away(conf), user=USER) as session, pytest.raises(ClusterUnavailable, match="names no history server"):
        HistoryLogs(session).aggregated_containers(app_id, USER)
    # Somebody who may not look into the folder.
    with Session(away(conf), user="bob") as session, pytest.raises(ClusterUnavailable, match=r"denied.*They lie in"):
        HistoryLogs(session, files=ChosenFiles(conf, "bob")).aggregated_containers(app_id, USER)


def test_a_server_that_is_silent_is_waited_for_once(
    conf: HadoopConf, app_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the real one is while its ResourceManager is away."""
    monkeypatch.setattr(history, "SILENCE_TIMEOUT", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        mute = away(conf, **{"mapreduce.jobhistory.webapp.address": f"127.0.0.1:{silent.getsockname()[1]}"})
        with Session(mute, user=USER) as session:
            logs = HistoryLogs(session, files=ChosenFiles(conf, USER))
            for container in logs.aggregated_containers(app_id, USER):
                logs.read_aggregated(app_id, USER, container, "stdout", tmp_path / "out")
        silent.settimeout(0.1)
        asked = 0
        with contextlib.suppress(TimeoutError):
            while True:
                silent.accept()[0].close()
                asked += 1
    assert asked == 1


def test_a_server_that_refuses_the_login_leaves_it_to_the_filesystem(conf: HadoopConf, app_id: str) -> None:
    """As one does that is asked by a login that acts for somebody else."""
    refusal = {"exception": "ForbiddenException", "javaClassName": "x", "message": "not yours"}

    def refuse(handler: Front, answer: object) -> bool:
        handler.send(403, "application/json", json.dumps({"RemoteException": refusal}).encode())
        return True

    with front("127.0.0.1:1", refuse) as address:
        refusing = away(conf, **{"mapreduce.jobhistory.webapp.address": address})
        with Session(refusing, user=USER) as session:
            logs = HistoryLogs(session, files=ChosenFiles(conf, USER))
            assert len(logs.aggregated_containers(app_id, USER)) == 5
        with Session(refusing, user="bob") as session, pytest.raises(PermissionDenied, match="not yours"):
            HistoryLogs(session, files=ChosenFiles(conf, "bob")).aggregated_containers(app_id, USER)


def test_of_several_servers_the_first_that_has_the_service_answers(
    cluster: LocalCluster, conf: HadoopConf, app_id: str
) -> None:
    pars = {
        # The ResourceManager's port is a web server that knows nothing of logs.
        "yarn.log.server.web-service.url": f"http://{cluster.rm_web}/ws/v1/history",
        "mapreduce.jobhistory.webapp.address": cluster.history_web,
    }
    with Session(away(conf, **pars), user=USER) as session:
        assert len(HistoryLogs(session).aggregated_containers(app_id, USER)) == 5


def test_the_product_needs_no_more_than_this(
    make_knit: Callable[..., Knit], logs: HistoryLogs, app_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Knit's own logs, with the history server in the JVM's place."""
    knit = make_knit()
    monkeypatch.setattr(knit.connection.bridge, "aggregated_containers", logs.aggregated_containers)
    monkeypatch.setattr(knit.connection.bridge, "read_aggregated", logs.read_aggregated)
    knit.attach(app_id)
    found = knit.logs(shell=True)
    assert sorted(str(f["stdout"]) for f in found.values() if f["service"]) == [f"container {i}\n" for i in range(4)]
