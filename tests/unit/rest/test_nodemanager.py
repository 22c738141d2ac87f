"""What NodeManagers answer that the test cluster's cannot be made to."""

from __future__ import annotations

import io
from urllib.parse import parse_qs, urlsplit

import pytest

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, PermissionDenied
from knit_provider.yarn.rest.nodemanager import LogFile, NodeManager

from .conftest import remote_exception, send

CONTAINER = "container_1_0001_01_000002"
TAIL = b"End of LogType:%s.This log file belongs to a running container (x) and so may not be complete.\n%s\n\n"


def wrapped(content: bytes, length: int | None = None, name: str = "stdout") -> bytes:
    """A log as NodeManagers since Hadoop 2.9 send it."""
    head = (
        f"Container: {CONTAINER} on localhost:1\nLogAggregationType: LOCAL\n{'=' * 68}\nLogType:{name}\n"
        f"LogLastModifiedTime:Sun Nov 22 07:18:33 +0000 2026\nLogLength:{len(content) if length is None else length}\n"
        "LogContents:\n"
    )
    return head.encode() + content + TAIL % (name.encode(), b"*" * 71)


@pytest.fixture
def node(daemon, session_of):
    return NodeManager(session_of("127.0.0.1:1"), daemon.address)


def read(node: NodeManager, **kwargs) -> tuple[int | None, bytes]:
    out = io.BytesIO()
    return node.read_log(CONTAINER, "stdout", out, **kwargs), out.getvalue()


FILE = {"fileName": "stdout", "fileSize": "12"}


class TestListing:
    @pytest.mark.parametrize(
        "answer",
        [
            {"containerLogsInfo": {"containerLogInfo": FILE, "logAggregationType": "LOCAL"}},
            {
                "containerLogsInfo": [
                    {"containerLogInfo": [{"fileName": "stdout", "fileSize": 12}], "logAggregationType": "LOCAL"},
                    {"containerLogInfo": [{"fileName": "stdout", "fileSize": 9}], "logAggregationType": "AGGREGATED"},
                ]
            },
            {"containerLogsInfoes": {"containerLogsInfo": {"containerLogInfo": [FILE]}}},
        ],
    )
    def test_in_the_shapes_of_several_versions(self, daemon, node, answer):
        daemon.answer = lambda h: send(h, 200, answer)
        assert node.log_files(CONTAINER) == [LogFile("stdout", 12, "")]

    @pytest.mark.parametrize("answer", [{}, {"containerLogsInfo": None}, {"containerLogsInfo": []}])
    def test_of_nothing(self, daemon, node, answer):
        daemon.answer = lambda h: send(h, 200, answer)
        assert node.log_files(CONTAINER) == []

    def test_the_history_servers_logs_are_not_the_nodes(self, daemon, node):
        daemon.answer = lambda h: send(h, 307, b"", Location="http://127.0.0.1:1/ws/v1/history/containers/x/logs")
        assert node.log_files(CONTAINER) == []
        assert node.container(CONTAINER) is None
        assert read(node) == (None, b"")
        assert len(daemon.requests) == 3

    def test_a_refusal_is_no_empty_list(self, daemon, node):
        daemon.answer = lambda h: remote_exception(h, 403, "ForbiddenException", "not yours")
        with pytest.raises(PermissionDenied, match="not yours"):
            node.log_files(CONTAINER)
        with pytest.raises(PermissionDenied, match="not yours"):
            read(node)

    def test_a_stranger_at_the_port_is_no_empty_list(self, daemon, node):
        daemon.answer = lambda h: send(h, 404, b"<html>nothing</html>", "text/html")
        with pytest.raises(ClusterUnavailable):
            node.log_files(CONTAINER)


# As Hadoop 2.8 shows it; between the links are the frame and the menu of every page of a NodeManager's.
PAGE = f"""<!DOCTYPE html><html><head><title>Logs for {CONTAINER}</title></head><body><table><tr><td>
<p><a href="/node/containerlogs/{CONTAINER}/alice/stderr/?start=-4096">stderr : Total file length is 0 bytes.</a>
<p><a href="/node/containerlogs/{CONTAINER}/alice/a&amp;b.log/?start=-4096">
  a&amp;b.log : Total file length is 12 bytes.</a>
</td></tr></table></body></html>""".encode()


class TestOfAnOldNode:
    """Before Hadoop 2.9: no list for programs, and a log without a header at another path."""

    @pytest.fixture
    def old(self, daemon, node):
        def answer(handler):
            path = urlsplit(handler.path).path
            if path == f"/node/containerlogs/{CONTAINER}/alice":
                send(handler, 200, PAGE, "text/html")
            elif path == f"/ws/v1/node/containerlogs/{CONTAINER}/stdout":
                send(handler, 200, b"bare\ncontent")
            else:
                send(handler, 404, b"<html><h2>HTTP ERROR 404</h2></html>", "text/html")

        daemon.answer = answer
        return node

    def test_the_page_for_browsers_is_the_list(self, old):
        assert old.log_files(CONTAINER) == [LogFile("stderr", 0, ""), LogFile("a&b.log", 12, "")]

    def test_a_log_is_read_at_the_old_path(self, old, daemon):
        assert read(old) == (12, b"bare\ncontent")
        assert read(old) == (12, b"bare\ncontent")
        assert len(daemon.requests) == 3, "where it is, it was asked once"

    def test_a_container_without_a_file(self, daemon, node):
        page = f"<html>No logs available for container {CONTAINER}</html>".encode()
        daemon.answer = lambda h: (
            send(h, 200, page, "text/html") if h.path.startswith("/node/") else send(h, 404, b"", "text/html")
        )
        assert node.log_files(CONTAINER) == []

    def test_another_page_is_no_empty_list(self, daemon, node):
        daemon.answer = lambda h: (
            send(h, 200, b"<html>login</html>", "text/html") if h.path.startswith("/node/") else send(h, 404, b"")
        )
        with pytest.raises(ClusterUnavailable, match="404"):
            node.log_files(CONTAINER)


class TestReading:
    def test_the_bare_file_of_an_old_node(self, daemon, node):
        daemon.answer = lambda h: send(h, 200, b"bare\ncontent")
        assert read(node) == (12, b"bare\ncontent")

    def test_the_bare_file_of_an_old_node_from_an_offset(self, daemon, node):
        info = {"containerLogsInfo": {"containerLogInfo": FILE}}
        daemon.answer = lambda h: send(h, 200, info if urlsplit(h.path).path.endswith("/logs") else b"bare\ncontent")
        assert read(node, offset=5) == (7, b"content")

    @pytest.mark.parametrize("content", [b"Container: not a header\n", b"LogType: neither", b"C", b"End of"])
    def test_content_that_begins_like_a_header(self, daemon, node, content):
        daemon.answer = lambda h: send(h, 200, content)
        assert read(node) == (len(content), content)

    def test_content_that_looks_like_what_is_around_it(self, daemon, node):
        content = wrapped(b"inner") * 3
        daemon.answer = lambda h: send(h, 200, wrapped(content))
        assert read(node) == (len(content), content)

    def test_a_header_that_comes_in_pieces(self, daemon, node):
        def slowly(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for byte in wrapped(b"content"):
                handler.wfile.write(b"1\r\n%c\r\n" % byte)
                handler.wfile.flush()
            handler.wfile.write(b"0\r\n\r\n")

        daemon.answer = slowly
        assert read(node) == (7, b"content")

    def test_a_log_cut_short_is_an_error_and_what_came_is_right(self, daemon, node):
        def cut(handler):
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(wrapped(b"half", length=8)[: -len(TAIL % (b"stdout", b"*" * 71))])
            handler.close_connection = True

        daemon.answer = cut
        out = io.BytesIO()
        with pytest.raises(ClusterUnavailable, match="broke off with 4 bytes"):
            node.read_log(CONTAINER, "stdout", out)
        assert out.getvalue() == b"half"

    def test_the_aggregated_part_that_may_follow_is_left_out(self, daemon, node):
        daemon.answer = lambda h: send(h, 200, wrapped(b"local") + wrapped(b"aggregated"))
        assert read(node) == (5, b"local")

    @pytest.mark.parametrize("growth", [0, 10, 300_000, 40_000_000])
    def test_a_file_that_grows_between_two_requests_has_no_gap(self, daemon, node, growth):
        """The node counts the end, from which the offset has to be told, after the growth."""
        before = bytes(range(256)) * 4000
        after = before + b"new" * (growth // 3 + 1)

        def answer(handler):
            parts = urlsplit(handler.path)
            if parts.path.endswith("/logs"):
                file = {"fileName": "stdout", "fileSize": str(len(before))}
                send(handler, 200, {"containerLogsInfo": {"containerLogInfo": file}})
                return
            size = parse_qs(parts.query).get("size")
            content = after if size is None or abs(int(size[0])) > len(after) else after[int(size[0]) :]
            send(handler, 200, wrapped(content, len(after)))

        daemon.answer = answer
        offset = len(before) - 100
        written, data = read(node, offset=offset)
        assert data == after[offset:]
        assert written == len(data)

    def test_names_are_quoted(self, daemon, node):
        daemon.answer = lambda h: send(h, 200, wrapped(b"x"))
        node.read_log(CONTAINER, "a b?c#d%", io.BytesIO())
        assert daemon.paths == [f"/ws/v1/node/containers/{CONTAINER}/logs/a%20b%3Fc%23d%25"]


@pytest.mark.parametrize("address", ["", ":8042"])
def test_an_address_that_is_none(session_of, address):
    with pytest.raises(ConfigurationError, match="NodeManager"):
        NodeManager(session_of("h:1"), address)


def test_the_scheme_is_the_clusters(session_of):
    session = session_of("h:1", pars={"yarn.http.policy": "HTTPS_ONLY"})
    assert NodeManager(session, "n1:8044").address == "https://n1:8044"
    assert NodeManager(session, "http://n1:8042").address == "http://n1:8042"
