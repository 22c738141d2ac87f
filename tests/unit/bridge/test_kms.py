"""Tokens of key servers: which server is asked, for what, and what comes of its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from knit_provider.yarn.bridge.kms import KeyServers, addresses_of, key_provider
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, PermissionDenied
from knit_provider.yarn.tokens import KMS_KIND, Token

ISSUED = Token(b"identifier", b"password", KMS_KIND, "1.2.3.4:9600")
REFUSED = {
    "RemoteException": {
        "message": "User: knit is not allowed to impersonate alice",
        "exception": "AuthorizationException",
        "javaClassName": "org.apache.hadoop.security.authorize.AuthorizationException",
    }
}


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """Start a key server's or NameNode's stand-in: its host and port, and what it was asked."""
    servers = []

    def start(status: int, answer: Any) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Not onto stderr."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_token_is_for_the_whole_uri(serve: Callable[..., tuple[str, list[str]]]) -> None:
    place, asked = serve(200, {"Token": {"urlString": ISSUED.to_text()}})
    uri = f"kms://http@{place}/kms"
    with KeyServers(uri, None, acted_for="alice") as servers:
        assert servers.token("rm/h@R") == Token(b"identifier", b"password", KMS_KIND, uri)
    (path,) = asked
    assert urlsplit(path).path == "/kms/v1/"
    query = {key: value[0] for key, value in parse_qs(urlsplit(path).query).items()}
    assert query == {"op": "GETDELEGATIONTOKEN", "renewer": "rm/h@R", "doAs": "alice"}


def test_any_of_several_does(serve: Callable[..., tuple[str, list[str]]]) -> None:
    place, _ = serve(200, {"Token": {"urlString": ISSUED.to_text()}})
    uri = f"kms://http@nowhere.invalid;{place}/kms"
    with KeyServers(uri, None) as servers:
        assert servers.token("rm").service == uri


@pytest.mark.parametrize(
    ("status", "answer", "error", "words"),
    [
        (200, {"Token": {"urlString": "no token"}}, ClusterUnavailable, "gave a delegation token that is none"),
        (200, {"Token": None}, ClusterUnavailable, "gave a delegation token that is none"),
        (200, b"<html>login</html>", ClusterUnavailable, "login"),
        (503, b"starting", ClusterUnavailable, "hadoop.security.key.provider.path.*starting"),
        (403, REFUSED, PermissionDenied, r"hadoop\.proxyuser\.knit\.hosts"),
    ],
)
def test_what_is_no_token_is_said(
    serve: Callable[..., tuple[str, list[str]]], status: int, answer: Any, error: type[Exception], words: str
) -> None:
    place, _ = serve(status, answer)
    with KeyServers(f"kms://http@{place}/kms", None) as servers, pytest.raises(error, match=words):
        servers.token("rm")


@pytest.mark.parametrize(
    "uri", ["kms://h:9600/kms", "kms://ftp@h/kms", "kms://http@:9600/kms", "kms://http@h:x/kms", "http://h"]
)
def test_what_names_no_key_server(uri: str) -> None:
    with pytest.raises(ConfigurationError, match=r"looks like kms://https@"):
        addresses_of(uri)


class Says:
    """A NameNode that answers this, or an error."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def call(self, *args: Any) -> dict[str, Any]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return dict(self._answer)


@pytest.mark.parametrize(
    ("said", "pars", "expected"),
    [
        ({"FsServerDefaults": {"keyProviderUri": "kms://http@a:1/kms"}}, {}, "kms://http@a:1/kms"),
        (
            {"FsServerDefaults": {"keyProviderUri": "kms://http@a:1/kms"}},
            {"hadoop.security.key.provider.path": "kms://http@b:1/kms"},
            "kms://http@a:1/kms",
        ),
        (
            ConfigurationError("no such operation"),
            {"dfs.encryption.key.provider.uri": "kms://http@b:1/kms#part"},
            "kms://http@b:1/kms",
        ),
        ({"FsServerDefaults": {"keyProviderUri": ""}}, {"hadoop.security.key.provider.path": "jceks://file/x"}, None),
        ({}, {}, None),
    ],
)
def test_the_namenode_says_which_key_server_before_the_configuration(
    said: Any, pars: dict[str, str], expected: str | None
) -> None:
    conf = HadoopConf.load(autodetect=False, pars=pars)
    assert key_provider(conf, Says(said)) == expected  # type: ignore[arg-type]
