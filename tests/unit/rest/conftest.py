from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.rest import Session


class Daemon:
    """A real HTTP server on loopback that answers as it is told.

    ``answer`` is called with the request handler and writes what it likes. ``requests`` holds what came in.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = ok
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                daemon.requests.append((self.command, self.path, dict(self.headers), body))
                daemon.answer(self)

            do_GET = do_PUT = do_POST = do_DELETE = _serve

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def paths(self) -> list[str]:
        return [path.partition("?")[0] for _, path, _, _ in self.requests]

    def stop(self) -> None:
        if self._thread.is_alive():
            self.server.shutdown()
            self.server.server_close()


def send(
    handler: BaseHTTPRequestHandler, status: int, body: bytes | dict, kind: str | None = None, **headers: str
) -> None:
    """Write a whole answer; a dict becomes JSON."""
    if isinstance(body, dict):
        body, kind = json.dumps(body).encode(), kind or "application/json"
    handler.send_response(status)
    handler.send_header("Content-Type", kind or "text/plain;charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def ok(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, {"clusterInfo": {"haState": "ACTIVE"}})


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def remote_exception(handler: BaseHTTPRequestHandler, status: int, name: str, message: str) -> None:
    send(handler, status, {"RemoteException": {"exception": name, "message": message, "javaClassName": f"x.{name}"}})


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    made = Daemon()
    yield made
    made.stop()


@pytest.fixture
def daemons() -> Iterator[tuple[Daemon, Daemon]]:
    made = (Daemon(), Daemon())
    yield made
    for one in made:
        one.stop()


@pytest.fixture
def session_of() -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(*addresses: str, pars: dict | None = None, **kwargs) -> Session:
        conf = HadoopConf.load(autodetect=False, environ={}, pars=pars)
        kwargs.setdefault("user", "alice")
        made.append(Session(conf, addresses=addresses or None, **kwargs))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
