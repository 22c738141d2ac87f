"""What tests behind a gateway share: its process, what a user gives to get through, and a network that ends there."""

from __future__ import annotations

import contextlib
import errno
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.tls import Authority
from knit_provider.yarn.errors import ApplicationNotFound

PASSWORD = "opensesame"
DEFAULT = "/gateway/default/resourcemanager"


class Gateway:
    """The gateway's process as the tests see it."""

    def __init__(self, port: int, ca: Path) -> None:
        self.port = port
        self.ca = ca

    def told(self, path: str = "/test") -> dict[str, Any]:
        """What was asked of it since this was asked last."""
        answer = requests.get(f"https://127.0.0.1:{self.port}{path}", verify=str(self.ca), timeout=10)
        return dict(answer.json())

    def arguments(self, gateway_path: str = DEFAULT, **other: Any) -> dict[str, Any]:
        """What a user gives, with no Hadoop file."""
        return {
            "rm_addresses": [f"127.0.0.1:{self.port}"],
            "scheme": "https",
            "gateway_path": gateway_path,
            "user": "alice",
            "password": PASSWORD,
            "ca_bundle": str(self.ca),
            **other,
        }


@contextmanager
def gateway_before(
    cluster: LocalCluster,
    folder: Path,
    users: tuple[str, ...] = ("alice",),
    environment: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Gateway]:
    """Runs ``knox_gateway`` in front of a cluster.

    Args:
        cluster: what is behind it.
        folder: for its certificate.
        users: whom it knows, all with ``PASSWORD``.
        environment: of its process, where that is not ours.
        **settings: more of its own, such as ``principal`` and ``keytab``.
    """
    authority = Authority("The gateway's CA")
    ca = folder / "ca.pem"
    ca.write_text(authority.pem)
    line = {
        "certificate": str(authority.write_server(folder / "server.pem", ["127.0.0.1"])),
        "rm": f"http://{cluster.rm_web}",
        "namenode": f"http://{cluster.namenode_web}",
        "users": dict.fromkeys(users, PASSWORD),
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hadoop.knox_gateway"],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        yield Gateway(int(process.stdout.readline()), ca)
        process.stdin.close()


@contextmanager
def knits_through(gateway: Gateway) -> Iterator[Callable[..., Knit]]:
    """Makes ``Knit`` objects that know the gateway and nothing else; what they leave running is killed."""
    made: list[Knit] = []

    def make(gateway_path: str = DEFAULT, **other: Any) -> Knit:
        made.append(Knit(autodetect=False, **gateway.arguments(gateway_path, **{"bridge": "rest", **other})))
        return made[-1]

    yield make
    for knit in made:
        for app_id in list(knit._applications):
            with contextlib.suppress(ApplicationNotFound):
                if not knit.application(app_id).report().terminal:
                    knit.kill(app_id)
        knit.close()


_reachable: int | None = None
_tried: set[int] = set()


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _reachable is not None and isinstance(arguments[1], tuple):
        port = int(arguments[1][1])
        if port != _reachable:
            _tried.add(port)
            raise OSError(errno.EHOSTUNREACH, "only the gateway can be reached")


sys.addaudithook(_watch)


@contextmanager
def nothing_else_reachable(gateway: Gateway) -> Iterator[set[int]]:
    """A network in which this process reaches the gateway and nothing else; the ports that it tried all the same."""
    global _reachable
    _tried.clear()
    _reachable = gateway.port
    try:
        yield _tried
    finally:
        _reachable = None


def ports_of(cluster: LocalCluster) -> set[int]:
    """Where the cluster's daemons listen."""
    return {int(a.rpartition(":")[2]) for daemon in cluster.daemons.values() for a in daemon.addresses.values()}
