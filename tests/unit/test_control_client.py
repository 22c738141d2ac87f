"""A client and the ApplicationMasters that come up on one port after another."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from knit_provider.yarn.control import ControlClient
from knit_provider.yarn.errors import ApplicationMasterUnreachable
from knit_provider.yarn.submission.secrets import AppSecrets, new_secrets

APP = "application_1_0001"
OURS, THEIRS = new_secrets(APP, 3600), new_secrets("application_1_0002", 3600)


class Master(BaseHTTPRequestHandler):
    """Counts what it is asked."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked += 1  # type: ignore[attr-defined]
        body = json.dumps({"asked": self.server.asked}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Callable[[AppSecrets], ThreadingHTTPServer]]:
    made: list[ThreadingHTTPServer] = []

    def start(secrets: AppSecrets) -> ThreadingHTTPServer:
        pem = tmp_path / f"{len(made)}.pem"
        key = serialization.load_der_private_key(secrets.key, None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = x509.load_der_x509_certificate(secrets.certificate)
        pem.write_bytes(key + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Master)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.asked = 0  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        made.append(server)
        return server

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


def test_another_applications_master_on_the_old_port_is_left_for_ours(
    master: Callable[[AppSecrets], ThreadingHTTPServer],
) -> None:
    """The ResourceManager names the old port once more, before it knows the new one."""
    ours, theirs = master(OURS), master(THEIRS)
    ports = [theirs.server_port, theirs.server_port, ours.server_port]
    where = lambda: ("127.0.0.1", ports.pop(0) if len(ports) > 1 else ports[0])  # noqa: E731
    client = ControlClient(APP, OURS.credentials, where)
    assert client.scale("default", delta=1) == {"asked": 1}
    assert client.status() == {"asked": 2}
    assert theirs.asked == 0  # type: ignore[attr-defined]
    client.close()


def test_a_port_that_stays_somebody_elses_is_named(master: Callable[[AppSecrets], ThreadingHTTPServer]) -> None:
    theirs = master(THEIRS)
    client = ControlClient(APP, OURS.credentials, lambda: ("127.0.0.1", theirs.server_port), restart_seconds=0)
    words = f"{theirs.server_port} is not the ApplicationMaster of {APP}"
    with pytest.raises(ApplicationMasterUnreachable, match=words):
        client.status()
    assert theirs.asked == 0  # type: ignore[attr-defined]
    client.close()


def test_what_is_not_said_twice_finds_the_new_port_the_next_time(
    master: Callable[[AppSecrets], ThreadingHTTPServer], without_tls: int
) -> None:
    ours = master(OURS)
    ports = [without_tls, ours.server_port]
    client = ControlClient(APP, OURS.credentials, lambda: ("127.0.0.1", ports.pop(0)), restart_seconds=0)
    with pytest.raises(ApplicationMasterUnreachable, match=str(without_tls)):
        client.renew_lease()
    assert client.renew_lease() == {"asked": 1}
    client.close()


@pytest.fixture
def without_tls() -> Iterator[int]:
    """Somebody who speaks no TLS."""

    class HangsUp(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)
            self.wfile.write(b"HTTP/1.0 400 no\r\n\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), HangsUp)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
