"""Aggregated logs from scripted history servers: shapes of several versions, and answers that are none."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest

from knit_provider.yarn.bridge.base import AggregatedContainer
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ClusterUnavailable, KnitError, PermissionDenied
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.logs.tfile import TFile, _Bytes, _inflated
from knit_provider.yarn.rest.history import HistoryLogs
from knit_provider.yarn.rest.log_folders import log_folders, node_of
from knit_provider.yarn.rest.log_text import NotWrapped, copy_sections

from .conftest import hang_up, remote_exception, send

APP = "application_1700000000000_0042"
ID = "container_1700000000000_0042_01_000002"
CONTAINER = AggregatedContainer(ID, "n1:8041", ())


def logs_of(session_of, *daemons, **pars):
    if daemons:
        pars["mapreduce.jobhistory.webapp.address"] = daemons[0].address
    return HistoryLogs(session_of("127.0.0.1:1", pars=pars))


def wrapped(name, content, length=None):
    length = len(content) if length is None else length
    head = f"Container: {ID} on n1_8041\nLogAggregationType: AGGREGATED\n{'=' * 40}\nLogType:{name}\n"
    head += f"LogLastModifiedTime:now\nLogLength:{length}\nLogContents:\n"
    return head.encode() + content + f"\nEnd of LogType:{name}\n{'*' * 40}\n\n".encode()


GROUP = {"containerId": ID, "nodeId": "n1_8041", "logAggregationType": "AGGREGATED"}


@pytest.mark.parametrize(
    "answer",
    [
        {"containerLogsInfo": {**GROUP, "containerLogInfo": {"fileName": "stdout", "fileSize": "12"}}},
        {"containerLogsInfo": [{**GROUP, "containerLogInfo": [{"fileName": "stdout", "fileSize": 12}]}]},
        {
            "containerLogsInfoes": {
                "containerLogsInfo": {**GROUP, "containerLogInfo": [{"fileName": "stdout", "fileSize": 12}]}
            }
        },
        {
            "containerLogsInfoes": {
                "containerLogsInfo": [{**GROUP, "containerLogInfo": {"fileName": "stdout", "fileSize": 12}}]
            }
        },
        {
            "containerLogsInfo": [
                {**GROUP, "nodeId": "n1_8041_1700000000001", "containerLogInfo": {"fileName": "stdout", "fileSize": 5}},
                {**GROUP, "nodeId": "n1_8041_1700000000002", "containerLogInfo": {"fileName": "stdout", "fileSize": 7}},
            ]
        },
    ],
)
def test_every_shape_is_read(daemon, session_of, answer):
    daemon.answer = lambda handler: send(handler, 200, answer)
    (container,) = logs_of(session_of, daemon).aggregated_containers(APP, "alice")
    assert (container.id, container.node) == (ID, "n1:8041")
    assert [(file.name, file.length) for file in container.files] == [("stdout", 12)]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda h: send(h, 200, {}), RemoteFileNotFound, APP),
        (lambda h: remote_exception(h, 503, "WebApplicationException", "HTTP 404 Not Found"), RemoteFileNotFound, APP),
        (lambda h: send(h, 307, b"", Location="http://nm/x"), RemoteFileNotFound, "not aggregated yet"),
        (lambda h: remote_exception(h, 403, "ForbiddenException", "no"), PermissionDenied, "alice"),
        (lambda h: send(h, 200, b"<html><body>login</body></html>", "text/html"), ClusterUnavailable, "They lie in"),
        (lambda h: send(h, 404, b"<html>no</html>", "text/html"), ClusterUnavailable, "no REST interface"),
        (lambda h: send(h, 500, b"<html>oops</html>", "text/html"), ClusterUnavailable, "oops"),
        (hang_up, ClusterUnavailable, "They lie in"),
    ],
)
def test_what_is_no_list_is_said_to_be_none(daemon, session_of, answer, error, words):
    daemon.answer = answer
    with pytest.raises(error, match=words):
        logs_of(session_of, daemon).aggregated_containers(APP, "alice")


def test_a_log_in_several_sections_is_one(daemon, session_of, tmp_path):
    tricky = b"\nContainer: \nEnd of LogType:stdout\n***\n"
    daemon.answer = lambda handler: send(handler, 200, wrapped("stdout", tricky) + wrapped("stdout", b"second"))
    out = tmp_path / "out"
    assert logs_of(session_of, daemon).read_aggregated(APP, "alice", CONTAINER, "std out/%;", out) == len(tricky) + 6
    assert out.read_bytes() == tricky + b"second"
    assert daemon.paths == [f"/ws/v1/history/containerlogs/{ID}/std%20out%2F%25%3B"]


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (wrapped("stdout", b"abc", length=500), ClusterUnavailable, "broke off"),
        (f"Can not find logs for container:{ID}".encode(), RemoteFileNotFound, "no log stdout"),
        (b"<html><body>Sign in</body></html>", ClusterUnavailable, "Sign in"),
        (b"x" * 100_000, ClusterUnavailable, "no log"),
        (b"", RemoteFileNotFound, "no log"),
    ],
)
def test_what_is_no_log_leaves_no_file(daemon, session_of, tmp_path, body, error, words):
    daemon.answer = lambda handler: send(handler, 200, body)
    with pytest.raises(error, match=words):
        logs_of(session_of, daemon).read_aggregated(APP, "alice", CONTAINER, "stdout", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_sections_do_not_depend_on_where_the_network_cuts(size):
    content = wrapped("a", b"one\r\n\0") + wrapped("a", b"") + wrapped("a", b"three")
    out = io.BytesIO()
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    assert copy_sections(pieces, out) == (11, 0)
    assert out.getvalue() == b"one\r\n\0three"
    with pytest.raises(NotWrapped):
        copy_sections(iter([b"plain"]), io.BytesIO())


def test_servers_are_found_where_the_configuration_names_them(session_of):
    logs = logs_of(
        session_of,
        **{
            "yarn.log.server.web-service.url": "http://a:1/ws/v1/history/",
            "yarn.log.server.url": "https://b:2/jobhistory/logs",
            "mapreduce.jobhistory.http.policy": "HTTPS_ONLY",
            "mapreduce.jobhistory.webapp.https.address": "c:3",
        },
    )
    assert logs.servers() == [
        "http://a:1/ws/v1/history",
        "https://b:2/ws/v1/history",
        "https://c:3/ws/v1/history",
    ]
    assert logs_of(session_of).servers() == []


def test_a_timeline_server_has_no_list_of_logs_and_is_not_asked(session_of):
    timeline = {
        "yarn.log.server.web-service.url": "http://a:1/ws/v1/applicationhistory/",
        "yarn.log.server.url": "https://b:2/applicationhistory/logs",
    }
    assert logs_of(session_of, **timeline).servers() == []


def test_folders_of_all_layouts_are_named():
    conf = HadoopConf.load(autodetect=False, environ={})
    assert log_folders(conf, APP, "alice") == [
        f"/tmp/logs/alice/bucket-logs-tfile/0042/{APP}",
        f"/tmp/logs/alice/logs-tfile/{APP}",
        f"/tmp/logs/alice/logs/{APP}",
    ]
    assert node_of("some_host_45454") == "some_host:45454"
    assert node_of("host_45454_1700000000000") == "host:45454"


def tfile_int(value):
    """TFile's own packing, in its longest form."""
    return (
        value.to_bytes(1, "big", signed=True) if -32 <= value < 128 else b"\x83" + value.to_bytes(4, "big", signed=True)
    )


@pytest.mark.parametrize(
    ("packed", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\xe0", -32),
        (b"\xcc\x80", 128),
        (b"\xb0\x12\x34", (0xB0 - 256 + 88) << 16 | 0x1234),
    ],
)
def test_integers_are_unpacked_as_tfile_packs_them(packed, value):
    assert _Bytes(iter([packed])).vint() == value
    assert _Bytes(iter([tfile_int(1_000_000)])).vint() == 1_000_000


def test_compressed_blocks_are_inflated_bit_by_bit():
    content = b"a line of a log\n" * 100_000
    for packed in (zlib.compress(content), gzip.compress(content)):
        pieces = (packed[at : at + 100] for at in range(0, len(packed), 100))
        assert b"".join(_inflated(pieces)) == content


def test_what_is_no_tfile_is_named():
    for content in (b"", b"x" * 100):
        with pytest.raises(KnitError, match="hdfs://nn/logs/n1_1"):
            TFile("hdfs://nn/logs/n1_1", len(content), lambda at, count, content=content: content[at : at + count])
