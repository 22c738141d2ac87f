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
    return _node(connection, container).log_files(container.id)


def read(
    connection: Connection,
    container: KnownContainer,
    name: str,
    offset: int,
    out: BinaryIO,
    limit: int | None = None,
) -> int | None:
    """Write a log file from ``offset`` on to ``out``, up to ``limit`` bytes of it.

    Returns:
        How many bytes there were. None where the node no longer has the file: it went into the aggregated logs.
    """
    return _node(connection, container).read_log(container.id, name, out, offset, limit)


def _node(connection: Connection, container: KnownContainer) -> NodeManager:
    if connection.session.topology is not None:
        # Says whether nodes speak TLS, which the gateway has to be told.
        _ = connection.full_conf
    return NodeManager(connection.session, container.node_http)
