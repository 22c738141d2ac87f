"""Who may talk to what, and where secrets are not."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
from typing import Any

import psutil
import pytest
import requests
import urllib3

from knit_provider import Knit
from knit_provider.yarn.control import ControlCredentials
from knit_provider.yarn.control.client import ControlClient
from knit_provider.yarn.errors import ApplicationMasterUnreachable, PermissionDenied
from tests.hadoop.eventually import eventually

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


@pytest.fixture
def running(knit: Knit) -> str:
    app_id = knit.start("sleep 300", num_containers=2)
    eventually(lambda: len([c for c in knit.get_containers() if c["service"] and c["state"] == "RUNNING"]) == 2)
    return app_id


def of_application(app_id: str) -> list[psutil.Process]:
    number = app_id.removeprefix("application_")
    found = []
    for process in psutil.process_iter():
        try:
            if number in process.environ().get("CONTAINER_ID", ""):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def bridge() -> str:
    """The one with a JVM: without it there are fewer ports and processes to look at."""
    return "jvm"


def gateway_pid(knit: Knit) -> int:
    pid: int = knit.connection.bridge._lease.gateway.pid  # type: ignore[attr-defined]
    return pid


def secret_of(knit: Knit, app_id: str) -> dict[str, str]:
    connection = knit.connection
    document: dict[str, str] = json.loads(connection.files.read(connection.paths.staging(app_id) + "/control.json"))
    return document


def test_every_open_port_refuses_who_has_no_secret(knit: Knit, running: str) -> None:
    processes = [*of_application(running), psutil.Process(gateway_pid(knit))]
    listening = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # what a launch script starts is soon over
            for c in process.net_connections("tcp"):
                if c.status == "LISTEN":
                    listening[c.laddr.port] = (process, c.laddr.ip)
    am_port = knit.application().report().am_port
    assert am_port in listening
    assert len(listening) == 2, f"the control channel and the gateway, and no more: {listening}"
    for port, (process, _) in listening.items():
        if process.pid == gateway_pid(knit):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(b"c\nt\ncall\nshello\ns{}\ne\n")
                s.settimeout(5)
                answer = s.recv(4096)
            assert b"!y" not in answer, f"an unauthenticated call was answered: {answer!r}"
        else:
            for path in ("/", "/v1/status", "/v1/containers", "/v1/scale", "/nothing"):
                for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}):
                    url = f"https://127.0.0.1:{port}{path}"
                    for method in ("GET", "POST", "DELETE"):
                        answer = requests.request(method, url, headers=headers, verify=False, timeout=10)
                        assert answer.status_code == 401, (method, path, headers)
                        assert running not in answer.text
            plain = socket.create_connection(("127.0.0.1", port), timeout=5)
            with plain:
                plain.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
                plain.settimeout(5)
                assert b"200" not in plain.recv(4096)


def test_old_tls_is_refused(knit: Knit, running: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", knit.application().report().am_port), timeout=5) as s,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(s)


def test_another_certificate_is_not_spoken_to(knit: Knit, running: str) -> None:
    document = secret_of(knit, running)
    report = knit.application().report()
    certificate = bytearray(base64.b64decode(document["certificate"]))
    certificate[-1] ^= 1
    impostor = ControlClient(
        running,
        ControlCredentials(document["secret"], bytes(certificate)),
        lambda: (report.am_host, report.am_port),
        restart_seconds=0,
    )
    with pytest.raises(ApplicationMasterUnreachable, match="certificate"):
        impostor.status()


def test_the_wrong_secret_is_refused(knit: Knit, running: str) -> None:
    document = secret_of(knit, running)
    report = knit.application().report()
    client = ControlClient(
        running,
        ControlCredentials("A" * 43, base64.b64decode(document["certificate"])),
        lambda: (report.am_host, report.am_port),
    )
    with pytest.raises(PermissionDenied):
        client.scale("default", instances=50)


def test_staging_is_private(knit: Knit, running: str) -> None:
    files, paths = knit.connection.files, knit.connection.paths
    folder = files.status(paths.staging(running))
    assert folder is not None
    assert folder.permission == "700"
    for entry in files.list(paths.staging(running)):
        assert entry.permission == "600", entry.path
        assert entry.owner == "alice"


def test_containers_get_no_token_of_the_master(knit: Knit) -> None:
    knit.start('cat "$HADOOP_TOKEN_FILE_LOCATION" | base64 -w0')
    assert knit.wait_for_completion(90)
    entry: Any = next(f for f in knit.logs().values() if f["service"])
    token_file = base64.b64decode(str(entry["stdout"]))
    assert b"YARN_AM_RM_TOKEN" not in token_file
    for name in (b"knit.control.secret", b"knit.key", b"TIMELINE"):
        assert name not in token_file
    assert b"knit.worker.secret" in token_file
