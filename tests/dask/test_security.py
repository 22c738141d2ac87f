"""What the processes of a Dask cluster listen at, and what a stranger is told there."""

from __future__ import annotations

import contextlib
import socket
import ssl

import psutil
import requests

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
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5) as plain:
        with context.wrap_socket(plain) as tls:
            tls.settimeout(5)
            tls.sendall(b"\x01" + b"\0" * 100)
            return bool(tls.recv(100))
    return False


def test_every_port_of_every_process_wants_a_key(shared: DaskYARNCluster) -> None:
    mine = psutil.Process()
    processes = of_application(shared.app_id)
    assert len(processes) >= 5, "two workers with their nannies and the ApplicationMaster"
    found = [(p, ip, port) for p in processes for ip, port in listening(p)]
    scheduler = int(shared.scheduler_address.rpartition(":")[2])
    found += [(mine, ip, port) for ip, port in listening(mine) if port == scheduler]
    assert any(port == scheduler for _, _, port in found)
    open_ones = []
    for process, ip, port in found:
        host = "127.0.0.1" if ip in ("0.0.0.0", "::") else ip
        if lets_in(host, port) or answers_plain_http(host, port):
            open_ones.append((process.name(), " ".join(process.cmdline())[-60:], ip, port))
    # Workers tell their health in plain HTTP, to this machine alone.
    assert all(ip in ("127.0.0.1", "::1") for _, _, ip, _ in open_ones), open_ones
