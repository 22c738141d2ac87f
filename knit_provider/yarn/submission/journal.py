"""What an ApplicationMaster writes down in staging while it runs, read by clients: which containers there were."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.files.port import Files
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.submission.ledger import MOST_CONTAINERS, LedgerContainer, Outcome, record_end
from knit_provider.yarn.submission.staging import Paths

log = logging.getLogger(__name__)

_PREFIX = "journal-"
_MAX_BYTES = 64 * 1024 * 1024
RUNNING = "RUNNING"
"""State of a container of whose end the journals say nothing."""


def containers_in_journals(files: Files, staging: str) -> list[LedgerContainer]:
    """The containers that were launched last, at most 20,000, in the order in which they were.

    A journal of more than 64 MiB is not read, which is said.

    Args:
        files: the filesystem.
        staging: the application's folder, a full URI.

    Raises:
        KnitError: the folder is gone or cannot be read.
    """
    launched: dict[str, dict[str, object]] = {}
    names = (status.path for status in files.list(staging))
    for path in sorted((p for p in names if p.rsplit("/", 1)[-1].startswith(_PREFIX)), key=_order):
        try:
            content = files.read(path, max_bytes=_MAX_BYTES)
        except ConfigurationError as e:
            log.warning("Which containers %s tells of is not known: %s", path, e)
            continue
        for line in io.BytesIO(content):
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
                if len(launched) > MOST_CONTAINERS:
                    del launched[next(iter(launched))]
            elif record.get("event") == "end" and container in launched:
                launched[container] |= {"state": record.get("state"), "exit_code": record.get("exit_code")}
    return [LedgerContainer.from_dict({**record, "id": container}) for container, record in launched.items()]


def _order(path: str) -> tuple[int, ...]:
    """Attempts by number, and the parts of each: journal-2, journal-2.2, journal-10."""
    numbers = path.rsplit(_PREFIX, 1)[-1].split(".")
    return tuple(int(number) for number in numbers) if all(map(str.isdecimal, numbers)) else ()


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
    containers: Sequence[LedgerContainer] = ()
    try:
        containers = containers_in_journals(files, paths.staging(report.id))
    except ClusterUnavailable:
        raise
    except KnitError as e:
        # How it ended is worth keeping all the same.
        log.debug("what %s ran is not known: %s", report.id, e)
    try:
        outcome = Outcome(
            report.final_status, report.diagnostics, report.exit_code, report.finished_ms, tuple(containers)
        )
        if record_end(files, paths, report.id, outcome):
            log.debug("%s ended %s without a word in the ledger; it is there now", report.id, report.final_status)
    except ClusterUnavailable:
        raise
    except KnitError as e:
        log.debug("how %s ended is not in the ledger: %s", report.id, e)
