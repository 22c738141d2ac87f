"""Logs that the cluster has collected into its filesystem after an application's end."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.bridge.base import AggregatedContainer
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

# The ResourceManager's words for "nothing more will come".
_SETTLED = frozenset({"SUCCEEDED", "FAILED", "TIME_OUT", "DISABLED", "N/A"})


@dataclass(frozen=True)
class AggregatedLog:
    """One aggregated file, as a local temporary copy."""

    container_id: str
    node: str
    name: str
    path: Path


def wait_for_aggregation(app: Application, report: ApplicationReport, retries: int, delay: float) -> ApplicationReport:
    """Wait until the cluster says that it has collected the logs, or the retries are used up.

    An application that never had a container has no logs and is not waited for.
    """
    for _ in range(max(0, retries)):
        if report.log_aggregation in _SETTLED or report.state == UNKNOWN or not report.log_aggregation:
            break
        # A gateway blanks the link, so where there is none the attempts are asked.
        if report.log_aggregation == "NOT_START" and not report.raw.get("amContainerLogs") and not app.had_container():
            break
        # The first seconds bring it most often; later it is asked less.
        time.sleep(min(delay, 0.25 if _age(report) < 5 else 1.0 if _age(report) < 30 else delay))
        try:
            report = app.report()
        except ClusterUnavailable as e:
            log.warning("%s: %s; asking again", app.id, e)
    return report


@contextmanager
def aggregated_logs(
    connection: Connection,
    app: Application,
    report: ApplicationReport,
    skip: Mapping[tuple[str, str], int] | None = None,
) -> Iterator[Iterator[AggregatedLog]]:
    """Yield an iterator over the application's aggregated files, each as a file in a temporary folder.

    Args:
        connection: the cluster.
        app: the application.
        report: its last report, for the owner.
        skip: files, by container and name, of which so many bytes are known already: those that are no longer than
            that are left out.
    """
    owner = report.user or connection.user
    try:
        containers = connection.bridge.aggregated_containers(app.id, owner)
    except RemoteFileNotFound:
        containers = []
    with tempfile.TemporaryDirectory(prefix="knit-logs-") as folder:
        yield _fetched(connection, app.id, owner, containers, Path(folder), skip or {})


def _fetched(
    connection: Connection,
    app_id: str,
    owner: str,
    containers: list[AggregatedContainer],
    folder: Path,
    skip: Mapping[tuple[str, str], int],
) -> Iterator[AggregatedLog]:
    for number, container in enumerate(containers):
        for i, file in enumerate(container.files):
            if file.length <= skip.get((container.id, file.name), -1):
                continue
            local = folder / f"{number}-{i}"
            try:
                connection.bridge.read_aggregated(app_id, owner, container, file.name, local)
            except KnitError as e:
                raise KnitError(f"the log {file.name} of {container.id} could not be read: {e}") from e
            yield AggregatedLog(container.id, container.node, file.name, local)


def _age(report: ApplicationReport) -> float:
    return max(0.0, time.time() - report.finished_ms / 1000) if report.finished_ms else 0.0
