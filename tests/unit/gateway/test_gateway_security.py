"""Who may speak to a gateway, and where its token and secrets may be seen."""

from __future__ import annotations

import base64
import io
import logging
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway
from py4j.protocol import Py4JError

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.gateway.client import Connection
from knit_provider.yarn.gateway.registry import Gateway
from tests.unit.gateway.servers import closed_port

HELLO = "c\nt\ncall\nshello\ns{}\ne\n"


def port_and_token(gateway: Gateway) -> tuple[int, str]:
    process = gateway._process
    assert process is not None
    return process.port, process.token


def answer_to(port: int, *commands: str) -> bytes:
    """Everything the port says to these commands, sent one after the other on one connection."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            for command in commands:
                connection.sendall(command.encode())
                said += connection.recv(65536)
            while chunk := connection.recv(65536):
                said += chunk
        except ConnectionError:
            pass
    return said


def test_a_wrong_token_is_refused_each_time(gateway: Gateway) -> None:
    port, token = port_and_token(gateway)
    wrong = [secrets.token_hex(32) for _ in range(96)] + ["", token[:-1], token + "0", token.upper() + " "]
    refused = 0
    for guess in wrong:
        said = answer_to(port, f"A\n{guess}\n", HELLO)
        assert b"hadoop" not in said
        assert not said.startswith(b"!y")
        refused += 1
    assert refused == 100
    with pytest.raises(ConnectionRefusedError, match="refused the token"):
        Connection(port, secrets.token_hex(32), 30)
    Connection(port, token, 30).close()


@pytest.mark.parametrize(
    "command", [HELLO, "j\ni\nrj\njava.lang.Runtime\ne\n", "s\n", "m\nd\no0\ne\n", "GET / HTTP/1.1\r\n\r\n"]
)
def test_nothing_is_done_without_a_token(gateway: Gateway, command: str) -> None:
    port, _ = port_and_token(gateway)
    said = answer_to(port, command)
    assert not said.startswith(b"!y")
    assert b"hadoop" not in said
    assert gateway.call("hello")["user"] == "alice", "the gateway has to live on"


def test_py4js_own_client_is_refused_without_the_token(gateway: Gateway) -> None:
    port, _ = port_and_token(gateway)
    intruder = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    with pytest.raises(Py4JError):
        intruder.jvm.java.lang.System.getProperty("user.name")


def test_it_listens_on_loopback_only(gateway: Gateway) -> None:
    gateway.call("hello")
    assert gateway.pid is not None
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(gateway.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


def test_token_and_secrets_are_in_no_log_argument_or_environment(make_gateway: Callable[..., Gateway]) -> None:
    canary = secrets.token_hex(16)
    encoded = base64.b64encode(canary.encode()).decode()
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    loggers = [root, logging.getLogger("py4j"), logging.getLogger("py4j.java_gateway")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        gateway = make_gateway({"yarn.resourcemanager.address": f"127.0.0.1:{closed_port()}"}, log_level="DEBUG")
        gateway.start()
        _, token = port_and_token(gateway)
        with pytest.raises(KnitError):
            gateway.call(
                "submit",
                application_id="application_1_0001",
                name="n",
                queue="q",
                am={"resources": {"memory": 64, "vcores": 1}, "command": "true"},
                secrets={"knit.control.secret": encoded},
            )
        process = gateway._process
        assert process is not None
        heard = "\n".join(process._words)
        assert "DEBUG" in heard, "Hadoop's DEBUG log has to be there, or this test shows nothing"
        pid = process.pid
        seen = "".join(
            Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace") for name in ("cmdline", "environ")
        )
    finally:
        root.removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert "Gateway JVM" in log.getvalue(), "our own DEBUG log has to be there, or this test shows nothing"
    for where in (log.getvalue(), heard, seen, repr(gateway.settings), " ".join(map(str, os.environ.values()))):
        for secret in (token, canary, encoded):
            assert secret not in where
