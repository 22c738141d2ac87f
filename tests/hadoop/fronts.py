"""What a test puts between the client and a real daemon: one that passes requests on, and one that cuts connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

Spoil = Callable[["Front", requests.Response | None], bool]


class Front(BaseHTTPRequestHandler):
    """Passes a request on to a daemon. ``spoil`` is called before it (with None) and with its answer.

    Where ``spoil`` returns True, it has seen to the answer itself.
    """

    protocol_version = "HTTP/1.1"
    upstream = ""
    spoil: Spoil

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if type(self).spoil(self, None):
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "content-length")}
        answer = requests.request(
            self.command, f"http://{self.upstream}{self.path}", data=body or None, headers=headers, timeout=30,
            allow_redirects=False,
        )  # fmt: skip
        if not type(self).spoil(self, answer):
            self.send(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

    do_GET = do_PUT = do_POST = do_DELETE = _pass

    def send(self, status: int, kind: str, body: bytes, length: int | None = None) -> None:
        """A whole answer; ``length`` promises another one than comes, and hangs up."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.hang_up()

    def redirect(self, location: str, body: bytes) -> None:
        """A redirect as a standby gives it."""
        self.send_response(307)
        self.send_header("Location", location)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: Any) -> None:
        """Not onto stderr."""


@contextmanager
def front(upstream: str, spoil: Spoil) -> Iterator[str]:
    """``host:port`` of a server in front of ``upstream``."""
    handler = type("Spoiling", (Front,), {"upstream": upstream, "spoil": staticmethod(spoil)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Cutter:
    """Passes bytes on to a daemon, and cuts a connection after ``limit`` bytes of the client's; None lets all pass."""

    def __init__(self, upstream: str, limit: int | None) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self.limit = limit
        self.cuts = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                daemon = socket.create_connection(self._upstream)
                threading.Thread(target=self._copy, args=(client, daemon, True), daemon=True).start()
                threading.Thread(target=self._copy, args=(daemon, client, False), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if counted and self.limit is not None and passed > self.limit:
                    self.cuts += 1
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
