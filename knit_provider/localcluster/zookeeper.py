"""The ZooKeeper of a cluster with high availability: one server, which is no quorum but elects all the same."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
from pathlib import Path

from knit_provider.localcluster.ports import split_address
from knit_provider.localcluster.web import NotReady

ADDRESS = "hadoop.zk.address"
CLIENT = "org.apache.zookeeper.ZooKeeperMain"
_USER = "rm"
_PREFIXES = ("hadoop.zk.", "yarn.resourcemanager.zk-")
FLAGS = (
    # It outlives killed processes, not power cuts, as the rest of the cluster does.
    "-Dzookeeper.forceSync=no",
    # KiB that its log grows by; 64 MiB by default.
    "-Dzookeeper.preAllocSize=1024",
)


def write_config(path: Path, data: Path, address: str) -> None:
    """Writes the server's settings.

    Args:
        path: the file.
        data: where it keeps what it knows.
        address: ``host:port`` to listen on.
    """
    host, port = split_address(address, "ZooKeeper's address")
    settings = {
        "dataDir": data,
        "clientPort": port,
        "clientPortAddress": host,
        # A session lasts for two ticks at least. Hadoop asks for more.
        "tickTime": 1000,
        "maxClientCnxns": 0,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "ruok",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))


def locked(path: Path) -> dict[str, str]:
    """The settings with which ResourceManagers keep what they write in ZooKeeper to themselves.

    That is by a password, the same at each start: what was kept with it is there still. It spares ZooKeeper a principal
    and Kerberos a server more.

    Args:
        path: the file with the password, which Hadoop reads too; made where there is none.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"digest:{_USER}:{secrets.token_hex(32)}")
    known = path.read_text().partition(":")[2]
    digest = base64.b64encode(hashlib.sha1(known.encode()).digest()).decode()  # noqa: S324 - what ZooKeeper takes
    found = {"acl": f"digest:{_USER}:{digest}:rwcda", "auth": f"@{path}"}
    # The store reads the new names, and the election the old ones.
    return {f"{prefix}{key}": value for prefix in _PREFIXES for key, value in found.items()}


def check(address: str) -> None:
    """Asks the server whether it serves.

    Raises:
        NotReady: it does not, or not yet.
    """
    try:
        with socket.create_connection(split_address(address, "ZooKeeper's address"), timeout=3) as connection:
            connection.sendall(b"ruok")
            said = connection.recv(100)
    except ConnectionRefusedError as error:
        raise NotReady("does not listen yet") from error
    except OSError as error:
        raise NotReady(str(error)) from error
    if said != b"imok":
        raise NotReady(f"answers {said!r}")
