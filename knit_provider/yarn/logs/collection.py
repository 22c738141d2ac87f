"""All logs of an application at once."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.logs import live
from knit_provider.yarn.logs.aggregated import aggregated_logs, is_incomplete, wait_for_aggregation
from knit_provider.yarn.logs.inventory import KnownContainer, known_containers
from knit_provider.yarn.logs.spool import SPOOL_BYTES, LogText, NoRoom, SpooledLog, finish, local_disk, spooled_file
from knit_provider.yarn.report import UNKNOWN, ApplicationReport
from knit_provider.yarn.rights import require_view

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

# NodeManagers are asked side by side, a few at a time.
_THREADS = 8

# A node gives its logs away, file by file, once the application has ended.
_MOVED = "its node has given the logs to the cluster's aggregation, which does not have them yet; ask again"
_NONE = "its node has no logs of it"
NOT_AGGREGATED = "the cluster does not aggregate logs, and its node no longer has them"

ContainerLogs = dict[str, Any]


def collect(
    connection: Connection,
    app: Application,
    *,
    shell: bool = False,
    retries: int = 20,
    delay: float = 3.0,
    only: str | None = None,
) -> dict[str, ContainerLogs]:
    """Every log file of every container, or of each container the file ``only``.

    Running applications are read from the NodeManagers of all their containers; ended ones from the aggregated logs,
    which are waited for, and from the NodeManagers for what the cluster has not aggregated.

    Args:
        connection: the cluster.
        app: the application.
        shell: only aggregated logs.
        retries, delay: while the cluster still aggregates it is asked again for ``retries`` times ``delay`` seconds.
        only: name of the one file that is wanted.

    Returns:
        See :meth:`Application.logs`. A container whose logs could not be had has the key ``problem`` with the reason.

    Raises:
        PermissionDenied: the application is somebody else's who has not let this user view it.
        KnitError: if the application has ended, had containers, and no log of any can be had; says where they lie.
    """
    report = app.report()
    require_view(report, connection.user)
    known = known_containers(connection, app, report)
    if not shell and not report.terminal and report.state != UNKNOWN:
        found = _from_nodes(connection, known.values(), only)
        if not _without_logs(found):
            return found
        report = app.report()
        if not (report.terminal or report.state == UNKNOWN or _MOVED in _problems(found)):
            return _forgiven(found)  # they have not begun to write
        # It has ended while its logs were read.
    report = wait_for_aggregation(app, report, retries, delay)
    found = _from_aggregation(connection, app, report, known, only)
    missing = [c for c in known.values() if c.id not in found and c.node_http]
    if missing and not shell:
        found.update(_from_nodes(connection, missing, only))
        gone = _without_logs(found)
        if gone:
            report = wait_for_aggregation(app, app.report(), retries, delay)
            later = _from_aggregation(connection, app, report, known, only)
            found.update({container_id: later[container_id] for container_id in gone if container_id in later})
    if (
        not found
        and (shell or not missing)
        and (known or report.log_aggregation in ("RUNNING", "NOT_START", "TIME_OUT"))
    ):
        raise KnitError(_nothing_found(connection, app, report))
    return _with_what_is_missing(found, known, report, shell=shell)


def _with_what_is_missing(
    found: dict[str, ContainerLogs], known: Mapping[str, KnownContainer], report: ApplicationReport, *, shell: bool
) -> dict[str, ContainerLogs]:
    """The same, with a ``problem`` wherever logs may be that are not there."""
    if not is_incomplete(report) and report.log_aggregation != "DISABLED":
        # There are no others: a container that was never launched has none.
        return _forgiven(found)
    why = (
        NOT_AGGREGATED
        if report.log_aggregation == "DISABLED"
        else f"the cluster has not collected its logs (the ResourceManager says {report.log_aggregation}), and its "
        "node no longer has them; ask again"
    )
    for container_id in _without_logs(found):
        found[container_id]["problem"] = why
    for container in known.values() if shell else ():
        if container.id not in found:
            found[container.id] = _entry(container, container.id, container.node) | {"problem": why}
    of_any_type = report.application_type not in ("knit", "")
    if of_any_type and (masters := [c.id for c in known.values() if c.id in found and "problem" not in found[c.id]]):
        # Nobody knows which containers it had beside its ApplicationMasters'.
        found[masters[-1]]["problem"] = (
            f"the cluster has not collected all logs of {report.id} (the ResourceManager says "
            f"{report.log_aggregation}), so containers may be missing; ask again"
        )
    return found


def collect_logs(
    connection: Connection, app_id: str, shell: bool = False, retries: int = 20, delay: float = 3.0
) -> dict[str, ContainerLogs]:
    """As :func:`collect`, by id."""
    from knit_provider.yarn.application import Application

    return collect(connection, Application(connection, app_id), shell=shell, retries=retries, delay=delay)


def print_logs(logs: Mapping[str, Mapping[str, Any]], out: TextIO | None = None) -> None:
    """Print collected logs with a heading for each file."""
    out = out or sys.stdout
    for container_id, files in sorted(logs.items()):
        service = files.get("service")
        whose = f"{service}[{files.get('index')}]" if service is not None else "ApplicationMaster"
        for name, text in files.items():
            if name in ("id", "nodeId", "service", "index"):
                continue
            print(f"===== {container_id} ({whose}) on {files.get('nodeId')}: {name} =====", file=out)
            if isinstance(text, SpooledLog):
                with text.open() as f:
                    shutil.copyfileobj(f, out)
            else:
                print(text, file=out, end="" if str(text).endswith("\n") else "\n")


def _entry(container: KnownContainer | None, container_id: str, node: str) -> ContainerLogs:
    return {
        "id": container_id,
        "nodeId": (container.node if container else "") or node,
        "service": container.service if container else None,
        "index": container.index if container else None,
    }


def _from_nodes(
    connection: Connection, containers: Iterable[KnownContainer], only: str | None
) -> dict[str, ContainerLogs]:
    def one(container: KnownContainer) -> ContainerLogs:
        entry = _entry(container, container.id, container.node)
        try:
            files = live.files(connection, container)
            if not files:
                entry["problem"] = _NONE
            for file in files:
                if only in (None, file.name):
                    with local_disk():
                        text = _text(connection, container, file.name)
                    if text is None:
                        entry["problem"] = _MOVED
                        break
                    entry[file.name] = text
        except NoRoom:
            raise
        except KnitError as e:
            log.warning("The logs of %s on %s could not be read: %s", container.id, container.node or "?", e)
            entry["problem"] = str(e)
        return entry

    wanted = list(containers)
    if not wanted:
        return {}
    with ThreadPoolExecutor(min(_THREADS, len(wanted)), thread_name_prefix="knit-logs") as pool:
        return {entry["id"]: entry for entry in pool.map(one, wanted)}


def _problems(found: Mapping[str, ContainerLogs]) -> set[str]:
    return {str(entry["problem"]) for entry in found.values() if "problem" in entry}


def _without_logs(found: Mapping[str, ContainerLogs]) -> list[str]:
    """Containers whose node has no logs of them, or whose logs left it while they were read."""
    return [container_id for container_id, entry in found.items() if entry.get("problem") in (_MOVED, _NONE)]


def _forgiven(found: dict[str, ContainerLogs]) -> dict[str, ContainerLogs]:
    """The same, where it is no problem that there are no logs of a container."""
    for entry in found.values():
        if entry.get("problem") == _NONE:
            del entry["problem"]
    return found


def _text(connection: Connection, container: KnownContainer, name: str) -> LogText | None:
    """A log file on its node; None where it is gone since it was listed."""
    sink = spooled_file()
    try:
        if live.read(connection, container, name, 0, sink) is None:
            sink.close()
            Path(sink.name).unlink(missing_ok=True)
            return None
    except BaseException:
        sink.close()
        Path(sink.name).unlink(missing_ok=True)
        raise
    return finish(sink)


def _from_aggregation(
    connection: Connection,
    app: Application,
    report: ApplicationReport,
    known: Mapping[str, KnownContainer],
    only: str | None,
) -> dict[str, ContainerLogs]:
    found: dict[str, ContainerLogs] = {}
    try:
        with aggregated_logs(connection, app, report, only=only) as logs:
            for container in logs.containers:
                found.setdefault(container.id, _entry(known.get(container.id), container.id, container.node))
            for file in logs.files:
                entry = found[file.container_id]
                if file.problem:
                    log.warning("%s", file.problem)
                    entry["problem"] = file.problem
                else:
                    with local_disk():
                        entry[file.name] = _kept(file.path)
    except ClusterUnavailable as e:
        log.warning("The aggregated logs of %s could not be read: %s", app.id, e)
    return found


def _kept(path: Path) -> LogText:
    if path.stat().st_size <= SPOOL_BYTES:
        return path.read_bytes().decode("utf-8", "replace")
    sink = spooled_file()
    sink.close()
    shutil.move(path, sink.name)
    return SpooledLog(Path(sink.name))


def _nothing_found(connection: Connection, app: Application, report: ApplicationReport) -> str:
    folder = connection.full_conf.get("yarn.nodemanager.remote-app-log-dir", "/tmp/logs")  # noqa: S108 - in HDFS
    if report.log_aggregation == "DISABLED":
        return (
            f"{app.id} has ended and the cluster does not aggregate logs (yarn.log-aggregation-enable); its "
            "NodeManagers no longer have them either"
        )
    return (
        f"{app.id}: no aggregated logs yet (the ResourceManager says {report.log_aggregation or 'nothing'}). They come "
        f"to {folder} in HDFS, owned by {report.user or 'its user'}; ask again later, or look there"
    )
