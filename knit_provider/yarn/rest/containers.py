"""The live containers of an application, from every node it runs on."""

from __future__ import annotations

import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, KnitError
from knit_provider.yarn.rest.nodemanager import NodeManager
from knit_provider.yarn.rest.session import Session
from knit_provider.yarn.rest.shapes import app_of_container, items, number

log = logging.getLogger(__name__)

_NODES_AT_ONCE = 8
# Hadoop 3.3 writes these as strings.
_NUMBERS = frozenset(
    ["allocatedMB", "allocatedVCores", "priority", "startedTime", "finishedTime", "elapsedTime", "containerExitStatus"]
)


def live_containers(session: Session, app_id: str, attempts: list[str]) -> list[dict[str, Any]]:
    """Ask the ResourceManager which containers live, and each of their nodes what it knows of them.

    A node that cannot be reached costs its own details only: its containers come as the ResourceManager knows them.

    Args:
        session: what the calls go through.
        app_id: the application.
        attempts: ids of its attempts.

    Returns:
        One dict for each: what the NodeManager's REST interface says (``id``, ``state``, ``nodeId``, ``user``,
        ``totalMemoryNeededMB``, ``containerLogsLink``...) and what the ResourceManager adds (``allocatedMB``,
        ``nodeHttpAddress``, ``startedTime``...), sorted by id.
    """
    known: dict[str, dict[str, Any]] = {}
    for attempt in attempts:
        # Containers that were kept over an attempt's end are listed with the attempt that has them now.
        for container in _of_attempt(session, app_id, attempt):
            known[str(container["containerId"])] = container
    by_node: dict[str, list[str]] = defaultdict(list)
    for container_id, container in known.items():
        by_node[str(container.get("nodeHttpAddress") or "")].append(container_id)
    if not by_node:
        return []
    with ThreadPoolExecutor(min(_NODES_AT_ONCE, len(by_node)), thread_name_prefix="knit-nodes") as pool:
        answers = list(pool.map(lambda address: _on_node(session, address, app_id), by_node))
    details = {str(container["id"]): container for answer in answers for container in answer}
    found = [_merged(container, details.get(container_id)) for container_id, container in known.items()]
    return sorted(found, key=lambda container: str(container["id"]))


def container_info(session: Session, container_id: str) -> dict[str, Any]:
    """What the ResourceManager and the node say of one container.

    Raises:
        ApplicationNotFound: the ResourceManager doesn't know the application.
        KnitError: it knows the application and no such container of it (any more).
    """
    app_id, attempt = app_of_container(container_id)
    path = f"cluster/apps/{app_id}/appattempts/{attempt}/containers/{container_id}"
    try:
        answer = session.get_json(path)
        # Hadoop 3.3 answers with the container itself, 3.5 with an object around it.
        found = next(iter(items(answer, "container")), answer if "containerId" in answer else None)
    except ApplicationNotFound:
        session.get_json(f"cluster/apps/{app_id}/state")  # raises the same if it is the application that is unknown
        found = None
    if not found:
        raise KnitError(
            f"YARN no longer knows {container_id} of {app_id}: it has ended, or never was. Its logs may still be there"
        )
    try:
        node = NodeManager(session, str(found.get("nodeHttpAddress") or "")).container(container_id)
    except KnitError as e:
        log.debug("details of %s: %s", container_id, e)
        node = None
    return _merged(found, node)


def _of_attempt(session: Session, app_id: str, attempt: str) -> list[dict[str, Any]]:
    answer = session.get_json(f"cluster/apps/{app_id}/appattempts/{attempt}/containers")
    found = items(answer, "container") or items(answer, "containers", "container")
    return [container for container in found if container.get("containerId")]


def _on_node(session: Session, address: str, app_id: str) -> list[dict[str, Any]]:
    if not address:
        return []
    try:
        return NodeManager(session, address).containers(app_id)
    except ClusterUnavailable as e:
        log.warning("NodeManager %s cannot be asked about %s: %s", address, app_id, e)
        return []


def _merged(container: dict[str, Any], node: dict[str, Any] | None) -> dict[str, Any]:
    merged = {
        **container,
        **{key: number(container[key]) for key in _NUMBERS if key in container},
        "id": container["containerId"],
        "state": container.get("containerState"),
        "nodeId": container.get("assignedNodeId") or container.get("nodeId"),
        "containerLogsLink": container.get("logUrl"),
    }
    return {**merged, **(node or {})}
