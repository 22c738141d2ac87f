"""What the processes of a Dask cluster listen at, and what a stranger is told there."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

import psutil
import pytest
import requests
from distributed.utils import get_ip

from knit_provider import DaskYARNCluster
from tests.hadoop.test_security import of_application


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    return [(c.laddr.ip, c.laddr.port) for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]


def answers_plain_http(host: str, port: int) -> bool:
    try:
        return requests.get(f"http://{host}:{port}/", timeout=5).status_code > 0
    except requests.RequestException:
        return False


def lets_in(host: str, port: int) -> bool:
    """Whether the port says anything to somebody who speaks TLS and has no certificate."""
    context = ssl._create_unverified_context()
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), timeout=5) as plain,
        context.wrap_socket(plain) as tls,
    ):
        tls.settimeout(5)
        tls.sendall(b"\x01" + b"\0" * 100)
        return bool(tls.recv(100))
    return False


def test_every_port_of_every_process_wants_a_key(make: Callable[..., DaskYARNCluster]) -> None:
    """At this machine's own address, since on loopback nobody would see the difference."""
    own = get_ip()
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    cluster = make(n_workers=1, ip=own)
    cluster.wait_for_workers(1, timeout=180)
    me = psutil.Process()
    # The ApplicationMaster's port has a test of its own.
    own_ones = [p for p in of_application(cluster.app_id) if "ApplicationMasterMain" not in " ".join(p.cmdline())]
    # A worker gives itself a title, which Linux writes over the environment that it would be known by.
    processes = {p for each in own_ones for p in (each, *each.children(recursive=True))}
    assert len(processes) >= 2, "a nanny and its worker"
    found = [(p, ip, port) for p in processes for ip, port in listening(p)]
    scheduler = int(cluster.scheduler_address.rpartition(":")[2])
    # This process's dashboard is said to be open.
    found += [(me, ip, port) for ip, port in listening(me) if port == scheduler]
    assert [ip for _, ip, _ in found].count(own) >= 3, f"scheduler, nanny and worker listen there: {found}"
    open_ones = []
    for process, ip, port in found:
        host = "127.0.0.1" if ip in ("0.0.0.0", "::") else ip
        if lets_in(host, port) or answers_plain_http(host, port):
            open_ones.append((ip, port, " ".join(process.cmdline())[-60:]))
    # A worker tells its health in plain HTTP, to its own node.
    assert open_ones, "a worker's port for its health was not found, or this shows nothing"
    assert all(ip == "127.0.0.1" for ip, _, _ in open_ones), open_ones
