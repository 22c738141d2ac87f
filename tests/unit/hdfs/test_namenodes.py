"""WebHDFS against scripted NameNodes and DataNodes: failover, redirects, errors, and the way to the gateway."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import traceback
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import (
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.files import namenodes as namenodes_module
from knit_provider.yarn.files.choose import ChosenFiles, root_of
from knit_provider.yarn.files.local import LocalContent
from knit_provider.yarn.files.namenodes import DataNodeUnreachable, NameNodes
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.files.webhdfs import WebHDFS


class Node:
    """A web server that answers by a function of (method, path, query, body) and keeps what it was asked."""

    def __init__(self, answer):
        self.asked = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                node.asked.append((self.command, parts.path, query, body))
                status, content = node.answer(self.command, parts.path, query, body)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_DELETE = handle_one

            def log_message(self, *_):
                pass

        self.answer = answer
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def start():
    nodes = []

    def start(answer):
        nodes.append(Node(answer))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def dead_port():
    """A port at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def remote(name, message="why", status=403):
    return status, {"RemoteException": {"exception": name, "javaClassName": f"x.{name}", "message": message}}


def standby(*_):
    return remote("StandbyException", "Operation category READ is not supported in state standby\n\tat x.y(Z.java)")


FOLDER = {"type": "DIRECTORY", "length": 0, "modificationTime": 5, "permission": "700", "owner": "a", "replication": 0}


def active(*_):
    return 200, {"FileStatus": FOLDER}


def hdfs(*nodes, user="alice"):
    addresses = [node if isinstance(node, str) else node.address for node in nodes]
    return WebHDFS("hdfs://nn", NameNodes(addresses, user))


def test_a_standby_is_passed_over_and_the_active_one_remembered(start):
    first, second = start(standby), start(active)
    files = hdfs(first, second)
    assert files.status("/x").is_dir
    assert files.status("/x").is_dir
    assert (len(first.asked), len(second.asked)) == (1, 2)


def test_a_failover_is_waited_for(start, monkeypatch):
    monkeypatch.setattr(namenodes_module, "_FAILOVER_PAUSE", 0.01)
    answers = iter([standby, standby, active])
    first = start(lambda *asked: next(answers)(*asked))
    assert hdfs(first).status("/x").is_dir


def test_namenodes_that_stay_standby_are_named(start, monkeypatch):
    monkeypatch.setattr(namenodes_module, "FAILOVER_TIMEOUT", 0.2)
    monkeypatch.setattr(namenodes_module, "_FAILOVER_PAUSE", 0.05)
    first, second = start(standby), start(standby)
    with pytest.raises(ClusterUnavailable) as caught:
        hdfs(first, second).status("/x")
    assert first.address in str(caught.value)
    assert second.address in str(caught.value)
    assert "Z.java" not in str(caught.value)


def test_the_user_is_named_in_every_call(start):
    node = start(active)
    hdfs(node, user="bob").status("/a b/é%")
    method, path, query, _ = node.asked[0]
    assert (method, path) == ("GET", "/webhdfs/v1/a%20b/%C3%A9%25")
    assert query == {"op": "GETFILESTATUS", "user.name": "bob"}


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (remote("AccessControlException", "Permission denied: user=alice"), PermissionDenied, "user=alice"),
        (remote("FileAlreadyExistsException"), RemoteFileExists, "/x: why"),
        (remote("NSQuotaExceededException", "limit 3"), ConfigurationError, "quota is exceeded: limit 3"),
        (remote("SafeModeException", "in safe mode"), ClusterUnavailable, "safe mode"),
        (remote("IOException", "could only be written to 0 of the 1"), ClusterUnavailable, "no DataNode with room"),
        (remote("SomethingElse", "odd"), KnitError, "odd"),
        (remote("SomethingElse", "odd", 500), ClusterUnavailable, "odd"),
        ((401, b"who"), AuthenticationFailed, "alice"),
        ((404, b"<html>nothing here</html>"), ClusterUnavailable, "dfs.webhdfs.enabled"),
        ((200, b"<html>login</html>"), ClusterUnavailable, "login"),
    ],
)
def test_errors_are_named_as_what_they_are(start, answer, error, words):
    node = start(lambda *_: answer)
    with pytest.raises(error, match=words):
        hdfs(node).list("/x")


def test_what_is_not_found_is_none_or_its_own_error(start):
    node = start(lambda *_: remote("FileNotFoundException", "File does not exist", 404))
    assert hdfs(node).status("/x") is None
    with pytest.raises(RemoteFileNotFound):
        hdfs(node).read("/x")


def namenode(*datanodes):
    """A NameNode that names the first DataNode that is not excluded."""

    def answer(method, path, query, body):
        excluded = query.get("excludedatanodes", "").split(",")
        place = next((node for node in datanodes if node.partition("://")[2] not in excluded), datanodes[-1])
        return 200, {"Location": f"{place}{path}?op={query['op']}"}

    return answer


def test_a_datanode_that_is_out_of_reach_is_passed_over(start, dead_port):
    datanode = start(lambda *_: (201, b""))
    nn = start(namenode(f"http://127.0.0.1:{dead_port}", datanode.address))
    NameNodes([nn.address], "alice").upload("/x", LocalContent.of_bytes(b"content"), overwrite="false")
    assert datanode.asked[0][3] == b"content"
    assert [asked[2].get("excludedatanodes") for asked in nn.asked] == [None, f"127.0.0.1:{dead_port}"]
    assert nn.asked[0][2]["noredirect"] == "true"


def test_when_no_datanode_is_in_reach_they_are_named(start, dead_port):
    nn = start(namenode(f"http://127.0.0.1:{dead_port}"))
    with pytest.raises(DataNodeUnreachable, match=str(dead_port)):
        NameNodes([nn.address], "alice").download("/x", 10)


@pytest.mark.parametrize("location", ["", "ftp://x/y", "/relative", "file:///etc/passwd", "http://["])
def test_a_location_that_is_no_web_address_is_refused(start, location):
    nn = start(lambda *_: (200, {"Location": location}))
    with pytest.raises(ClusterUnavailable, match="no URL"):
        NameNodes([nn.address], "alice").download("/x", 10)


def test_a_datanode_without_tls_is_refused_behind_a_namenode_with_it(start, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "namenode")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    both = tmp_path / "both.pem"
    both.write_bytes(
        ca.read_bytes()
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    datanode = start(lambda *_: (200, b"content"))
    nn = start(namenode(datanode.address))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    nn.server.socket = context.wrap_socket(nn.server.socket, server_side=True)
    address = nn.address.replace("http://", "https://")
    with pytest.raises(ClusterUnavailable, match="certificate"):
        NameNodes([address], "alice").download("/x", 10)
    with pytest.raises(ClusterUnavailable, match="without TLS; that is refused"):
        NameNodes([address], "alice", verify=str(ca)).download("/x", 10)
    assert datanode.asked == []


def test_a_token_is_in_no_log_and_no_traceback(start, dead_port, caplog):
    """urllib3 logs the whole address of each request, and requests quotes that of one that failed."""
    token = "the-token-itself"
    with caplog.at_level("DEBUG"):
        datanode = start(lambda *_: (200, b"content"))
        nn = start(lambda *_: (200, {"Location": f"{datanode.address}/x?delegation={token}&op=OPEN"}))
        assert NameNodes([nn.address], "alice", delegation=lambda: token).download("/x", 10) == b"content"
    assert datanode.asked[0][2]["delegation"] == token
    assert "delegation=..." in caplog.text
    assert token not in caplog.text
    with pytest.raises(KnitError) as caught:
        NameNodes([f"http://127.0.0.1:{dead_port}"], "alice", delegation=lambda: token).call("GET", "X", "/x")
    assert token not in "".join(traceback.format_exception(caught.value))


def test_a_redirect_with_a_header_is_followed_as_well(start):
    datanode = start(lambda *_: (200, b"content"))
    nn = start(lambda *_: (200, {"Location": f"{datanode.address}/x"}))
    assert NameNodes([nn.address], "alice").download("/x", 10) == b"content"


@pytest.mark.parametrize("path", ["relative", "hdfs://other/x", "/a/../b", "/a/./b", "/\0"])
def test_paths_of_another_place_are_refused(start, path):
    node = start(active)
    with pytest.raises(ConfigurationError):
        hdfs(node).status(path)
    assert node.asked == []


def test_the_root_is_not_deleted(start):
    node = start(active)
    with pytest.raises(ConfigurationError, match="root"):
        hdfs(node).delete("hdfs://nn/", recursive=True)
    assert node.asked == []


def test_no_namenode_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match=r"dfs\.namenode\.http-address"):
        NameNodes([], "alice")


class Gateway:
    """Stands for the gateway's implementation."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments)) or "by the gateway"


def conf_of(address, **pars):
    settings = {"fs.defaultFS": "hdfs://nn:8020", "dfs.namenode.http-address": address.partition("://")[2]}
    return HadoopConf.load(autodetect=False, pars=settings | pars, environ={})


def serving(datanode_port):
    def answer(method, path, query, body):
        if query["op"] == "GETHOMEDIRECTORY":
            return 200, {"Path": "/user/alice"}
        if query["op"] == "GETFILESTATUS":
            return 200, {"FileStatus": FOLDER}
        return 200, {"Location": f"http://127.0.0.1:{datanode_port}/"}

    return answer


def test_webhdfs_serves_hdfs_and_the_gateway_the_rest(start, dead_port):
    gateway = Gateway()
    nn = start(serving(dead_port))
    chosen = ChosenFiles(conf_of(nn.address), "alice", lambda: gateway)
    assert chosen.uri_home() == "hdfs://nn:8020/user/alice"
    assert chosen.status("/x").path == "hdfs://nn:8020/x"
    assert chosen.status("s3a://bucket/x") == "by the gateway"
    assert gateway.calls == [("status", "s3a://bucket/x")]


def test_when_datanodes_are_out_of_reach_the_gateway_takes_over(start, dead_port, caplog):
    gateway = Gateway()
    nn = start(serving(dead_port))
    chosen = ChosenFiles(conf_of(nn.address), "alice", lambda: gateway)
    assert chosen.read("/x") == "by the gateway"
    assert chosen.status("/x") == "by the gateway"
    assert [call[1] for call in gateway.calls] == ["hdfs://nn:8020/x", "hdfs://nn:8020/x"]
    assert str(dead_port) in caplog.text


def test_without_webhdfs_and_without_a_gateway_both_reasons_are_given(dead_port):
    def no_java():
        raise ConfigurationError("no Java found")

    chosen = ChosenFiles(conf_of(f"http://127.0.0.1:{dead_port}"), "alice", no_java)
    with pytest.raises(ConfigurationError, match=rf"no Java found.*127\.0\.0\.1:{dead_port}"):
        chosen.status("/x")


def test_a_secure_cluster_is_not_asked_as_a_simple_user(start):
    nn = start(serving(1))
    conf = conf_of(nn.address, **{"hadoop.security.authentication": "kerberos"})
    assert ChosenFiles(conf, "alice", Gateway).serving("/x") == "gateway"
    assert nn.asked == []


def test_roots_are_told():
    assert root_of("hdfs://nn:8020/a/b", "file://") == "hdfs://nn:8020"
    assert root_of("/a", "hdfs://nn/") == "hdfs://nn"
    assert root_of("hdfs:///a", "hdfs://nn") == "hdfs://nn"
    assert root_of("s3a://bucket", "hdfs://nn") == "s3a://bucket"
