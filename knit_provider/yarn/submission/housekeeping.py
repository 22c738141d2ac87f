"""Sweeping and pruning with a real cluster behind: which application has ended."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import ApplicationNotFound, KnitError
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.submission.journal import note_end
from knit_provider.yarn.submission.sweep import Pruned, prune, remove_unfinished, sweep

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)


def ended(connection: Connection, app_id: str) -> bool | None:
    """Whether an application has ended, which is then in the ledger too; None where the ResourceManager forgot it."""
    try:
        report = ApplicationReport.from_rm({**connection.api.status(app_id), "id": app_id})
    except ApplicationNotFound:
        return None
    if report.terminal:
        note_end(connection.files, connection.paths, report)
    return report.terminal


def sweep_in_background(connection: Connection) -> None:
    """Remove what earlier applications of the user left in staging, without anybody waiting for it.

    At most 50 are looked at, and only this cluster's; another cluster on the same filesystem has its own folder.
    Uploads of environments that were broken off more than a day ago go too, since they are large.
    """

    def run() -> None:
        try:
            removed = sweep(connection.files, connection.paths, lambda app_id: ended(connection, app_id))
            remove_unfinished(connection.files, connection.paths.envs, time.time(), limit=1000)
        except (KnitError, OSError) as e:
            log.debug("the sweep of staging ended early: %s", e)
            return
        if removed:
            log.info("removed the staging of %d ended applications", len(removed))

    threading.Thread(target=run, name="knit-sweep", daemon=True).start()


def prune_all(connection: Connection, *, cache_days: float, ledger_days: float) -> Pruned:
    """Remove all that is not needed any more: see :func:`~knit_provider.yarn.submission.sweep.prune`."""
    day = 24 * 3600
    return prune(
        connection.files,
        connection.paths,
        lambda app_id: ended(connection, app_id),
        cache_age=cache_days * day,
        ledger_age=ledger_days * day,
    )
