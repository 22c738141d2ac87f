"""The live containers of an application, on all nodes."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.logs.inventory import KnownContainer, known_containers
from knit_provider.yarn.rest.nodemanager import NodeManager

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

_THREADS = 8


def live_containers(connection: Connection, app: Application) -> list[dict[str, Any]]:
    """Ask the node of every live container about it.

    Returns:
        A dict for each, with the NodeManager's keys and ``service`` and ``index``. Of a container whose node does not
        answer there are ``id``, ``nodeId``, the state that the ResourceManager believes in, and ``problem``.
    """
    report = app.report()
    if report.terminal:
        return []
    live = [c for c in known_containers(connection, app, report).values() if c.live]
    if not live:
        return []
    with ThreadPoolExecutor(min(_THREADS, len(live)), thread_name_prefix="knit-containers") as pool:
        found = pool.map(lambda c: _ask(connection, c), live)
    return [c for c in found if c is not None]


def _ask(connection: Connection, container: KnownContainer) -> dict[str, Any] | None:
    ours = {"service": container.service, "index": container.index}
    try:
        found = NodeManager(connection.session, container.node_http).container(container.id)
    except KnitError as e:
        log.warning("%s on %s: %s", container.id, container.node or "an unknown node", e)
        return {"id": container.id, "nodeId": container.node, "state": "RUNNING", "problem": str(e), **ours}
    if found is None or found.get("state") in ("DONE", "COMPLETE"):
        # It ended between the ResourceManager's answer and the node's.
        return None
    return {**found, **ours}
