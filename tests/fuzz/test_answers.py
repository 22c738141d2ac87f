"""Answers of any content: of the ResourceManager, nodes, the history server, WebHDFS, and files and results.

Whatever a daemon, or what sits at its port, answers: callers get a value or an error of ours, and never another one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knit_provider.yarn.bridge.base import AggregatedContainer
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.control import ControlCredentials
from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.files.webhdfs import WebHDFS
from knit_provider.yarn.logs.results import combined
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.rest import Session
from knit_provider.yarn.rest.history import HistoryLogs
from knit_provider.yarn.rest.nodemanager import NodeManager
from knit_provider.yarn.rest.yarn_api import YARNAPI
from tests.fuzz.budget import tries
from tests.fuzz.corpus import files
from tests.fuzz.strings import anything
from tests.unit.rest.conftest import Daemon, hang_up, send

APP, CONTAINER = "application_1_0001", "container_1_0001_01_000001"

# What the daemons' answers consist of, so that what is made up comes near to them.
NAMES = [
    "app",
    "apps",
    "appAttempts",
    "appAttempt",
    "id",
    "appAttemptId",
    "container",
    "containers",
    "containerId",
    "state",
    "timeouts",
    "timeout",
    "type",
    "scheduler",
    "schedulerInfo",
    "rootQueue",
    "childQueues",
    "queues",
    "queue",
    "queueName",
    "maximumAllocation",
    "resourceInformations",
    "resourceInformation",
    "name",
    "value",
    "memory",
    "vCores",
    "nodes",
    "node",
    "nodeHTTPAddress",
    "nodeHttpAddress",
    "clusterInfo",
    "clusterMetrics",
    "properties",
    "key",
    "resource",
    "containerLogsInfo",
    "containerLogsInfoes",
    "containerLogInfo",
    "fileName",
    "fileSize",
    "nodeInfo",
    "FileStatus",
    "FileStatuses",
    "DirectoryListing",
    "partialListing",
    "remainingEntries",
    "pathSuffix",
    "length",
    "modificationTime",
    "permission",
    "owner",
    "replication",
    "Path",
    "Location",
    "boolean",
    "beans",
    "RemoteException",
    "exception",
    "message",
    "javaClassName",
    "QuotaUsage",
    "quota",
    "spaceQuota",
    "FsStatus",
    "capacity",
    "used",
    "remaining",
    "progress",
    "startedTime",
    "amRPCAddress",
    "nodeId",
    "user",
]
leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from([APP, CONTAINER, "h:1", "http://[", "²", "9" * 30, 10**30, 1e308, "x:99999999", "\ud800", ""]),
    st.text(max_size=10),
)
answer = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
body = st.one_of(
    answer.map(lambda value: json.dumps(value).encode()),
    st.tuples(answer, st.integers(0, 200)).map(lambda pair: json.dumps(pair[0]).encode()[: pair[1]]),
    st.binary(max_size=60),
    st.text("<html>/scriptdyo &;=\"'! LogLength: 0123456789\nContents", max_size=120).map(str.encode),
)
statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 307, 400, 401, 403, 404, 500, 503])
kinds = st.sampled_from(["application/json", "text/html", "text/plain", "application/octet-stream", ""])


def calls_of_resource_manager(address: str) -> list:
    conf = HadoopConf.load(autodetect=False, environ={})
    api = YARNAPI(session=Session(conf, "alice", addresses=[address], timeout=1))
    return [
        lambda: ApplicationReport.from_rm(api.status(APP)),
        lambda: [ApplicationReport.from_rm(app) for app in api.find()],
        lambda: api.app_attempts(APP),
        lambda: api.app_containers(APP),
        lambda: api.app_timeouts(APP),
        lambda: api.kill(APP, timeout=0),
        lambda: api.queues(),
        lambda: api.max_allocation("x"),
        lambda: api.may_submit("x"),
        lambda: (api.nodes(), api.cluster_info(), api.ha_state(), api.cluster_metrics()),
        lambda: HadoopConf.load(autodetect=False, environ={}).with_cluster(api.cluster_conf()),
        lambda: conf.with_cluster(api.session.get_json("/conf")),
        lambda: api.container_info(CONTAINER),
        lambda: api.update_lifetime(APP, 5),
    ]


def calls_of_node(address: str) -> list:
    session = Session(HadoopConf.load(autodetect=False, environ={}), "alice", addresses=[address], timeout=1)
    node = NodeManager(session, address)
    return [
        node.info,
        node.containers,
        lambda: node.container(CONTAINER),
        lambda: node.log_files(CONTAINER),
        lambda: node.read_log(CONTAINER, "stdout", io.BytesIO()),
        lambda: node.read_log(CONTAINER, "stdout", io.BytesIO(), offset=3),
    ]


def calls_of_history(address: str) -> list:
    pars = {"yarn.log.server.web-service.url": f"http://{address}/ws/v1/history"}
    conf = HadoopConf.load(autodetect=False, environ={}, pars=pars)
    logs = HistoryLogs(Session(conf, "alice", addresses=[address], timeout=1))
    # A file of our own: after an error it is removed.
    target = Path(tempfile.gettempdir()) / f"knit-fuzz-{os.getpid()}"
    return [
        lambda: logs.aggregated_containers(APP, "alice"),
        lambda: logs.read_aggregated(APP, "alice", AggregatedContainer(CONTAINER, "h:1", ()), "stdout", target),
    ]


def calls_of_webhdfs(address: str) -> list:
    files = WebHDFS("hdfs://nn:8020", NameNodes([f"http://{address}"], "alice"))
    return [
        files.uri_home,
        lambda: files.status("/x"),
        lambda: files.list("/x", limit=5),
        lambda: files.free("/x"),
        lambda: files.delete("/x"),
        lambda: files.rename("/x", "/y"),
        lambda: files.read("/x"),
    ]


CALLS = {
    "resource manager": calls_of_resource_manager,
    "node": calls_of_node,
    "history": calls_of_history,
    "webhdfs": calls_of_webhdfs,
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Nobody waits between two tries of the same: thousands of them are made."""
    made = Daemon()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda seconds: None)
        yield made
    made.stop()
    (Path(tempfile.gettempdir()) / f"knit-fuzz-{os.getpid()}").unlink(missing_ok=True)


def ask_everything(daemon: Daemon, who: str) -> None:
    for call in CALLS[who](daemon.address):
        with contextlib.suppress(KnitError, RemoteFileNotFound):
            call()


@pytest.mark.parametrize("who", CALLS)
@tries(8)
@given(content=body, status=statuses, kind=kinds, location=st.sampled_from([None, "", "http://[", "//x", "x" * 3000]))
def test_any_answer(daemon: Daemon, who: str, content: bytes, status: int, kind: str, location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    daemon.answer = lambda handler: send(handler, status, content, kind, **headers)
    ask_everything(daemon, who)


@pytest.mark.parametrize("who", CALLS)
@files("answers")
def test_the_corpus(daemon: Daemon, who: str, path) -> None:
    content = path.read_bytes()
    kind = "text/html" if path.suffix == ".html" else "application/json"
    for status in (200, 404):
        daemon.answer = lambda handler, status=status: send(handler, status, content, kind)
        ask_everything(daemon, who)


def test_a_connection_that_breaks_off_within_an_answer(daemon: Daemon) -> None:
    def half(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"apps": ')
        hang_up(handler)

    daemon.answer = half
    api = YARNAPI(session=Session(HadoopConf.load(autodetect=False, environ={}), "alice", addresses=[daemon.address]))
    with pytest.raises(KnitError, match="broke off"):
        api.find()


@tries(50)
@given(anything)
def test_any_report(value) -> None:
    app = value if isinstance(value, dict) else {"progress": value, "amRPCAddress": value, "startedTime": value}
    report = ApplicationReport.from_rm({**app, "id": APP})
    assert report.id == APP


@tries(40)
@given(st.text(max_size=60) | body.map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.just("\ud800"))
@example("[" * 5000)
@example("1" * 5000)
@example("1e999")
def test_any_result(text: str) -> None:
    with contextlib.suppress(KnitError):
        combined([(CONTAINER, "s", 0, text)])


@files("results")
def test_results_of_the_corpus(path) -> None:
    with pytest.raises(KnitError, match=CONTAINER):
        combined([(CONTAINER, "s", 0, path.read_text())])


@tries(40)
@given(body | st.dictionaries(st.sampled_from(["secret", "certificate", "shared"]), answer).map(json.dumps))
@example('{"secret": 5, "certificate": ""}')
@example('{"secret": "a\\nb", "certificate": ""}')
@example("[" * 5000)
def test_any_control_file(text) -> None:
    with contextlib.suppress(KnitError):
        found = ControlCredentials.from_json(text, "x")
        # It goes into a header, which can hold neither line ends nor what is not Latin.
        assert found.secret.isascii()
        assert found.secret.isprintable()


@tries(40)
@given(answer)
def test_any_configuration_of_a_cluster(value) -> None:
    conf = HadoopConf.load(autodetect=False, environ={})
    with contextlib.suppress(ConfigurationError):
        known = conf.with_cluster({"properties": value} if not isinstance(value, dict) else value)
        known.rm_web_addresses()
        known.set_properties()
