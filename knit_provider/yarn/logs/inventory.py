"""Which containers an application had, where they ran and what they were for.

The ApplicationMaster knows best. Where it cannot be asked, its journal (while the application runs) and the ledger
(afterwards) say the same, and the ResourceManager knows at least the containers that live.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.submission.journal import RUNNING, containers_in_journals

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownContainer:
    """One container.

    Attributes:
        id: YARN container id.
        node: ``host:port`` of its NodeManager.
        node_http: ``host:port`` of that NodeManager's web interface; empty where unknown.
        service: name of the service; None for an ApplicationMaster.
        index: number within the service, or None.
        live: it had not ended when this was asked.
    """

    id: str
    node: str = ""
    node_http: str = ""
    service: str | None = None
    index: int | None = None
    live: bool = True


def known_containers(connection: Connection, app: Application, report: ApplicationReport) -> dict[str, KnownContainer]:
    """Every container that can be learned of, by id, the ApplicationMasters' first."""
    found: dict[str, KnownContainer] = {}
    for container in _from_resource_manager(connection, app.id, report):
        found[container.id] = container
    if report.application_type in ("knit", ""):
        for container in _from_application_master(app, report) or _from_records(connection, app):
            known = found.get(container.id)
            found[container.id] = KnownContainer(
                container.id,
                container.node or (known.node if known else ""),
                container.node_http or (known.node_http if known else ""),
                container.service,
                container.index,
                container.live,
            )
    return found


def _from_resource_manager(connection: Connection, app_id: str, report: ApplicationReport) -> Iterable[KnownContainer]:
    try:
        attempts = connection.api.app_attempts(app_id)
    except KnitError as e:
        log.debug("attempts of %s: %s", app_id, e)
        return
    for attempt in attempts:
        am = str(attempt.get("containerId") or "")
        if am:
            yield KnownContainer(
                am, str(attempt.get("nodeId", "")), str(attempt.get("nodeHttpAddress", "")), live=not report.terminal
            )
    if report.terminal:
        return
    try:
        containers = connection.api.app_containers(app_id)
    except KnitError as e:
        log.debug("containers of %s: %s", app_id, e)
        return
    for container in containers:
        yield KnownContainer(
            str(container.get("containerId") or container.get("id")),
            str(container.get("assignedNodeId") or container.get("nodeId") or ""),
            bare_address(str(container.get("nodeHttpAddress") or "")),
        )


def _from_application_master(app: Application, report: ApplicationReport) -> list[KnownContainer]:
    if report.state != "RUNNING" or not report.am_port:
        return []
    try:
        return [_of(c) for c in app.quick_control().containers()]
    except KnitError as e:
        log.debug("containers of %s: %s", app.id, e)
        return []


def _from_records(connection: Connection, app: Application) -> list[KnownContainer]:
    try:
        entry = app.ledger()
        if entry is not None and entry.outcome is not None:
            return [
                KnownContainer(c.id, c.node, bare_address(c.node_http), c.service, c.index, live=False)
                for c in entry.outcome.containers
            ]
        return [
            KnownContainer(c.id, c.node, bare_address(c.node_http), c.service, c.index, live=c.state == RUNNING)
            for c in containers_in_journals(connection.files, connection.paths.staging(app.id))
        ]
    except KnitError as e:
        log.debug("records of %s: %s", app.id, e)
        return []


def _of(record: Mapping[str, Any]) -> KnownContainer:
    index = record.get("index")
    return KnownContainer(
        str(record["id"]),
        str(record.get("node") or ""),
        bare_address(str(record.get("node_http") or "")),
        record.get("service"),
        int(index) if index is not None else None,
        live=record.get("state", "RUNNING") in ("STARTING", "RUNNING"),
    )


def bare_address(url: str) -> str:
    """``host:port`` of an address that may carry a scheme."""
    return url.partition("://")[2].split("/")[0] if "://" in url else url
