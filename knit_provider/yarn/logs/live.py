"""Logs that still lie on the nodes that wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from knit_provider.yarn.logs.inventory import KnownContainer
from knit_provider.yarn.rest.nodemanager import LogFile, NodeManager

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection


def files(connection: Connection, container: KnownContainer) -> list[LogFile]:
    """The log files of a container on its node; none where the node no longer has them."""
    if not container.node_http:
        return []
    return NodeManager(connection.session, container.node_http).log_files(container.id)


def read(connection: Connection, container: KnownContainer, name: str, offset: int, out: BinaryIO) -> int:
    """Write a log file from ``offset`` on to ``out``; returns how many bytes there were."""
    return NodeManager(connection.session, container.node_http).read_log(container.id, name, out, offset) or 0
