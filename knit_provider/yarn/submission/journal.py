"""What an ApplicationMaster writes down in staging while it runs, read by clients: which containers there were."""

from __future__ import annotations

import json
import logging

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.files.port import Files
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.submission.ledger import LedgerContainer, Outcome, record_end
from knit_provider.yarn.submission.staging import Paths

log = logging.getLogger(__name__)

_PREFIX = "journal-"
_MAX_BYTES = 64 * 1024 * 1024
RUNNING = "RUNNING"
"""State of a container of whose end the journals say nothing."""


def containers_in_journals(files: Files, staging: str) -> list[LedgerContainer]:
    """The containers that were ever launched, in the order in which they were.

    Args:
        files: the filesystem.
        staging: the application's folder, a full URI.

    Raises:
        KnitError: the folder is gone or cannot be read.
    """
    launched: dict[str, dict[str, object]] = {}
    for entry in sorted(files.list(staging), key=lambda status: status.path):
        if not entry.path.rsplit("/", 1)[-1].startswith(_PREFIX):
            continue
        for line in files.read(entry.path, max_bytes=_MAX_BYTES).splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                # The last line of an attempt that was killed while it wrote.
                continue
            container = record.get("container")
            if not isinstance(container, str):
                continue
            if "service" in record:
                launched.setdefault(container, {**record, "state": RUNNING, "exit_code": None})
            elif record.get("event") == "end" and container in launched:
                launched[container] |= {"state": record.get("state"), "exit_code": record.get("exit_code")}
    return [LedgerContainer.from_dict({**record, "id": container}) for container, record in launched.items()]


def note_end(files: Files, paths: Paths, report: ApplicationReport) -> None:
    """Keep in the ledger how an application ended whose ApplicationMaster was gone before it could, and what it ran.

    Called before its staging is removed: with that goes the last word on which service each container was of.

    Args:
        files: the filesystem.
        paths: the user's folders.
        report: the ResourceManager's, of an application that has ended.

    Raises:
        ClusterUnavailable: the filesystem cannot be asked now.
    """
    try:
        outcome = Outcome(
            report.final_status,
            report.diagnostics,
            report.exit_code,
            report.finished_ms,
            tuple(containers_in_journals(files, paths.staging(report.id))),
        )
        if record_end(files, paths, report.id, outcome):
            log.debug("%s ended %s without a word in the ledger; it is there now", report.id, report.final_status)
    except ClusterUnavailable:
        raise
    except KnitError as e:
        log.debug("how %s ended is not in the ledger: %s", report.id, e)
