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
from knit_provider.yarn.logs.spool import NoRoom, local_disk
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.bridge.base import AggregatedContainer
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

# The ResourceManager's words for "nothing more will come".
_SETTLED = frozenset({"SUCCEEDED", "FAILED", "TIME_OUT", "DISABLED", "N/A"})
# For "more is on its way", and for "not all of it has come": now, or for good.
_UNDER_WAY = frozenset({"RUNNING", "RUNNING_WITH_FAILURE"})
_INCOMPLETE = _UNDER_WAY | {"FAILED", "TIME_OUT"}

# After so many failures in a row nobody answers any more, and the rest is not asked for.
_FAILURES = 3


@dataclass(frozen=True)
class AggregatedLog:
    """One aggregated file, as a local copy that is gone when the next one is asked for.

    Attributes:
        container_id: whose it is.
        node: ``host:port`` of the NodeManager that it was written on.
        name: of the file.
        path: the copy.
        problem: why there is no copy; empty where there is one.
    """

    container_id: str
    node: str
    name: str
    path: Path
    problem: str = ""


@dataclass(frozen=True)
class AggregatedLogs:
    """What the cluster has of an application: its containers, and one by one the files."""

    containers: tuple[AggregatedContainer, ...]
    files: Iterator[AggregatedLog]


def is_incomplete(report: ApplicationReport) -> bool:
    """Whether, by the ResourceManager's word, not all logs have come into the cluster's filesystem."""
    # One that was ended before anything of it ran has none; then it says so for good.
    return report.log_aggregation in _INCOMPLETE or (report.log_aggregation == "NOT_START" and report.succeeded)


def wait_for_aggregation(app: Application, report: ApplicationReport, retries: int, delay: float) -> ApplicationReport:
    """Wait until the cluster says that it has collected the logs, for ``retries`` times ``delay`` seconds at most.

    An application that never had a container has no logs and is not waited for. As long as no node says that it has
    begun, it is looked ``retries`` times only.
    """
    looks, deadline = 0, time.monotonic() + max(0, retries) * delay
    while looks < retries or (report.log_aggregation in _UNDER_WAY and time.monotonic() < deadline):
        if report.log_aggregation in _SETTLED or report.state == UNKNOWN or not report.log_aggregation:
            break
        # A gateway blanks the link, so where there is none the attempts are asked.
        if report.log_aggregation == "NOT_START" and not report.raw.get("amContainerLogs") and not app.had_container():
            break
        # The first seconds bring it most often; later it is asked less.
        time.sleep(min(delay, 0.25 if _age(report) < 5 else 1.0 if _age(report) < 30 else delay))
        looks += 1
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
    only: str | None = None,
) -> Iterator[AggregatedLogs]:
    """Yield the application's aggregated logs, each file as one in a temporary folder.

    Args:
        connection: the cluster.
        app: the application.
        report: its last report, for the owner.
        skip: files, by container and name, of which so many bytes are known already: those that are no longer than
            that are left out.
        only: name of the one file that is wanted of each container; nothing else is read. Default: all of them.

    Raises:
        KnitError: there is no room for them on this machine.
    """
    owner = report.user or connection.user
    try:
        containers = connection.bridge.aggregated_containers(app.id, owner)
    except RemoteFileNotFound:
        containers = []
    with local_disk():
        folder = tempfile.TemporaryDirectory(prefix="knit-logs-")
    with folder as path:
        yield AggregatedLogs(
            tuple(containers), _fetched(connection, app.id, owner, containers, Path(path), skip or {}, only)
        )


def _fetched(
    connection: Connection,
    app_id: str,
    owner: str,
    containers: list[AggregatedContainer],
    folder: Path,
    skip: Mapping[tuple[str, str], int],
    only: str | None,
) -> Iterator[AggregatedLog]:
    local, unanswered = folder / "log", 0
    for container in containers:
        for file in container.files:
            if only not in (None, file.name) or file.length <= skip.get((container.id, file.name), -1):
                continue
            problem = ""
            try:
                if unanswered >= _FAILURES:
                    raise ClusterUnavailable("several logs before it could not be read either")
                with local_disk():
                    connection.bridge.read_aggregated(app_id, owner, container, file.name, local)
                unanswered = 0
            except NoRoom:
                raise
            except KnitError as e:
                unanswered = unanswered + 1 if isinstance(e, ClusterUnavailable) else 0
                problem = f"the log {file.name} of {container.id} could not be read: {e}"
            yield AggregatedLog(container.id, container.node, file.name, local, problem)
            local.unlink(missing_ok=True)


def _age(report: ApplicationReport) -> float:
    return max(0.0, time.time() - report.finished_ms / 1000) if report.finished_ms else 0.0
