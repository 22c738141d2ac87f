"""Hadoop's tokens, read and written."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit_provider.yarn.bridge.delegation import DelegationTokens
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.rest.knox import Topology
from knit_provider.yarn.rest.password import PasswordAuth
from knit_provider.yarn.tokens import HDFS_KIND, Token, hdfs_service

# Token.encodeToUrlString() of Hadoop 3.5.0: an identifier of 200 times 7, the password 1 2 3, kind HDFS's own.
FROM_HADOOP = (
    base64.urlsafe_b64encode(
        bytes.fromhex("8fc8" + "07" * 200 + "0301020315") + b"HDFS_DELEGATION_TOKEN\x0e127.0.0.1:8020"
    )
    .decode()
    .rstrip("=")
)


@given(st.binary(max_size=300), st.binary(max_size=70_000), st.text(max_size=40), st.text(max_size=40))
def test_what_is_written_is_read_again(identifier: bytes, password: bytes, kind: str, service: str) -> None:
    token = Token(identifier, password, kind, service)
    assert Token.parse(token.to_text()) == token


@pytest.mark.parametrize(
    ("length", "written"),
    [(0, "00"), (127, "7f"), (128, "8f80"), (255, "8fff"), (256, "8e0100"), (70_000, "8d011170")],
)
def test_lengths_are_written_as_hadoop_does(length: int, written: str) -> None:
    text = Token(b"x" * length, b"", "", "").to_text()
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert data.startswith(bytes.fromhex(written) + b"x" * length)


def test_a_token_of_hadoops() -> None:
    token = Token.parse(FROM_HADOOP)
    assert token == Token(b"\x07" * 200, b"\x01\x02\x03", HDFS_KIND, "127.0.0.1:8020")
    assert token.to_text() == FROM_HADOOP


@pytest.mark.parametrize("text", ["", "AA", "f38", "jw", "not a token!", FROM_HADOOP[:40]])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|ends too early|field of|length that is none"):
        Token.parse(text)


def test_a_token_shows_nothing_of_its_secret() -> None:
    assert repr(Token(b"identifier", b"password", HDFS_KIND, "nn:8020")) == f"<Token {HDFS_KIND} for nn:8020>"


def test_the_renewer_is_the_resource_manager() -> None:
    named = HadoopConf.load(
        autodetect=False,
        pars={
            "yarn.resourcemanager.principal": "rm/_HOST@EXAMPLE.COM",
            "yarn.resourcemanager.webapp.address": "Master.example.com:8088",
        },
    )
    assert DelegationTokens(named, "alice", None).renewer() == "rm/master.example.com@EXAMPLE.COM"


def test_without_a_renewer_there_are_no_tokens() -> None:
    with pytest.raises(ConfigurationError, match=r"yarn\.resourcemanager\.principal is not set"):
        DelegationTokens(HadoopConf.load(autodetect=False), "alice", None).renewer()


@pytest.mark.parametrize(
    ("root", "service"),
    [("hdfs://127.0.0.1:9000", "127.0.0.1:9000"), ("hdfs://127.0.0.1", "127.0.0.1:8020"), ("hdfs://ns", "ha-hdfs:ns")],
)
def test_where_a_token_counts(root: str, service: str) -> None:
    found = HadoopConf.load(autodetect=False, pars={"dfs.nameservices": "ns"})
    assert hdfs_service(found, root) == service


def test_by_name_where_the_cluster_says_so() -> None:
    found = HadoopConf.load(autodetect=False, pars={"hadoop.security.token.service.use_ip": "false"})
    assert hdfs_service(found, "hdfs://Name.example.com:9000") == "name.example.com:9000"


@pytest.fixture
def behind() -> Iterator[Callable[..., DelegationTokens]]:
    """Tokens by way of a gateway, which answers each operation with what is given for it."""
    servers = []

    def start(default_fs: str, **answers: Any) -> DelegationTokens:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                (operation,) = parse_qs(urlsplit(self.path).query)["op"]
                body = json.dumps(answers.get(operation, {})).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Not onto stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        topology = Topology(f"http://127.0.0.1:{server.server_port}/gateway/default")
        found = HadoopConf.load(
            autodetect=False,
            pars={"fs.defaultFS": default_fs, "dfs.nameservices": "ns", "yarn.resourcemanager.principal": "rm@R"},
        )
        auth = PasswordAuth("alice", "canary", [topology.origin], topology)
        return DelegationTokens(found, "alice", auth, topology=topology)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def issued(service: str) -> dict[str, Any]:
    return {"Token": {"urlString": Token(b"identifier", b"password", "WEBHDFS delegation", service).to_text()}}


@pytest.mark.parametrize(
    ("default_fs", "said", "service"),
    [
        ("hdfs://namenode.invalid:8020", "10.0.0.7:8020", "10.0.0.7:8020"),
        ("hdfs://192.0.2.1:8020", "10.0.0.7:8020", "10.0.0.7:8020"),
        ("hdfs://192.0.2.1:8020", "127.0.1.1:8020", "192.0.2.1:8020"),
        ("hdfs://ns", "10.0.0.7:8020", "ha-hdfs:ns"),
    ],
)
def test_behind_a_gateway_the_namenode_says_where_its_token_counts(
    behind: Callable[..., DelegationTokens], default_fs: str, said: str, service: str
) -> None:
    """Names may be unknown outside, or mean other machines; only loopback is surely wrong for others."""
    found = behind(default_fs, GETDELEGATIONTOKEN=issued(said)).collect(["/user/alice"])
    (text,) = found.texts.values()
    assert Token.parse(text) == Token(b"identifier", b"password", HDFS_KIND, service)


def test_behind_a_gateway_there_is_no_key_server(behind: Callable[..., DelegationTokens]) -> None:
    answers = {
        "GETDELEGATIONTOKEN": issued("10.0.0.7:8020"),
        "GETSERVERDEFAULTS": {"FsServerDefaults": {"keyProviderUri": "kms://https@keys:9600/kms"}},
    }
    root = "hdfs://192.0.2.1:8020"
    open_to_all = behind(root, **answers, GETFILESTATUS={"FileStatus": {"type": "DIRECTORY"}})
    assert len(open_to_all.collect([f"{root}/user/alice"]).texts) == 1
    encrypted = behind(root, **answers, GETFILESTATUS={"FileStatus": {"type": "DIRECTORY", "encBit": True}})
    with pytest.raises(
        ConfigurationError, match=r"/user/alice lies in an encryption zone.*kms://https@keys.*hdfs_home="
    ):
        encrypted.collect([f"{root}/user/alice"])
