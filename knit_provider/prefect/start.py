"""Starting an application, or finding the one that an earlier try of the same call started."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prefect.exceptions import CancelledRun

from knit_provider.prefect.caller import Caller
from knit_provider.prefect.identity import (
    Action,
    Claims,
    Earlier,
    Kept,
    candidates,
    decide,
    job_tag,
    kept_in_tags,
    made_by_several,
)
from knit_provider.prefect.page import RunPage
from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.report import ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.spec import ApplicationSpec

    Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]

REPLACE_SECONDS = 60.0
# How long another run of the same task has to come for an application before it is taken for one that nobody wants.
SIBLING_SECONDS = 30.0
SIBLING_POLL_SECONDS = 2.0
_claims = Claims()


@dataclass(frozen=True)
class Started:
    """The application that serves a call.

    Attributes:
        app_id: its YARN application id.
        url: its page in the ResourceManager's web interface, "" where that is not known.
        attached: whether an earlier try started it.
    """

    app_id: str
    url: str
    attached: bool = False


def start(
    knit: Knit, spec: ApplicationSpec, caller: Caller, page: RunPage, logger: Logger, *, reattach: bool = True
) -> Started:
    """Start an application, or find the one that an earlier try of this call started.

    The id is kept on the Prefect server before anything is submitted; the application carries tags of the run and the
    call. So whatever ends a try, the next one finds what it left, by the tags or by the id.

    Args:
        knit: the cluster.
        spec: the job.
        caller: the run and the call in it.
        page: what the Prefect server keeps.
        logger: of the run.
        reattach: go on with the application of an earlier try (default True); False ends it first.

    Raises:
        CancelledRun: the flow run was cancelled meanwhile; nothing was submitted.
        KnitError: an earlier application does not end, or how it ended is unknown.
    """
    if not caller.call:
        app_id = knit.submit(spec, bound=False)
        return Started(app_id, application_url(knit, app_id))
    job = job_tag(spec)
    spec = replace(spec, tags=(*spec.tags, *caller.tags, job))
    kept = page.kept()
    earlier = _earlier(knit, caller, kept)
    several = made_by_several(caller, [*kept, *(e.kept for e in earlier)])
    patience = time.monotonic() + SIBLING_SECONDS
    while True:
        with _claims.lock:
            found = candidates(caller, earlier, kept, _claims)
            action, chosen = decide(caller, found, job, reattach=reattach, several=several)
            theirs = chosen is not None and several and action is Action.REPLACE and not chosen.kept.is_own(caller)
            waits = theirs and time.monotonic() < patience
            if chosen is not None and not waits:
                _claims.take(caller, chosen.kept.app_id)
        if waits:
            # It may be what another run of the task comes for, which is on its way.
            time.sleep(SIBLING_POLL_SECONDS)
            kept = page.kept() or kept
            continue
        if chosen is not None:
            logger.info("%s is of an earlier try; %s", chosen.kept.app_id, action.value)
        if action is not Action.REPLACE or chosen is None:
            break
        _end(knit, chosen.kept.app_id)
        earlier = [_with_report(knit, e) if e is chosen else e for e in earlier]
    if action is Action.UNKNOWN and chosen is not None:
        raise KnitError(
            f"{chosen.kept.app_id} was started by an earlier try; the ResourceManager has forgotten it and the ledger "
            "holds no outcome, so whether it succeeded is unknown. reattach=False starts the job anew"
        )
    if chosen is not None and action in (Action.ATTACH, Action.FINISH):
        app_id = chosen.kept.app_id
        url = application_url(knit, app_id)
        logger.info("%s: %s", app_id, url)
        page.keep(_kept(caller, app_id, job), url)
        return Started(app_id, url, attached=True)
    if page.cancelled(now=True):
        raise CancelledRun("the flow run was cancelled, so no application is started")
    app_id = chosen.kept.app_id if chosen is not None else knit.new_application()
    url = application_url(knit, app_id)
    page.keep(_kept(caller, app_id, job), url)
    logger.info("Submitting %s (%s) to queue %s: %s", app_id, spec.name, spec.queue, url)
    try:
        knit.submit(spec, app_id=app_id, bound=False)
    except Exception:
        raise
    except BaseException:
        # The run is being ended, and the request may be on its way.
        _end_quietly(knit, app_id, logger)
        raise
    return Started(app_id, url)


def application_url(knit: Knit, app_id: str) -> str:
    """The ResourceManager's page about an application."""
    return knit.connection.session.page_of(app_id)


def _kept(caller: Caller, app_id: str, job: str) -> Kept:
    return Kept(app_id, job, caller.task_run_id, caller.attempt, caller.position)


def _earlier(knit: Knit, caller: Caller, kept: list[Kept]) -> list[Earlier]:
    """Every application of the call: those that the ResourceManager finds, and those that were kept."""
    found: dict[str, Earlier] = {}
    for app in knit.yarn_api.find(tags=[caller.call_tag]):
        report = ApplicationReport.from_rm(app)
        found[report.id] = Earlier(kept_in_tags(report), report)
    for k in kept:
        if k.app_id not in found:
            found[k.app_id] = Earlier(k, knit.application(k.app_id).report_or_none())
        elif k.is_own(caller):
            # One that this very run took over from an earlier attempt is its own.
            found[k.app_id] = replace(found[k.app_id], kept=k)
    return list(found.values())


def _with_report(knit: Knit, earlier: Earlier) -> Earlier:
    return replace(earlier, report=knit.application(earlier.kept.app_id).report_or_none())


def _end(knit: Knit, app_id: str) -> None:
    if knit.application(app_id).kill("another try of its call has begun", timeout=REPLACE_SECONDS):
        return
    report = knit.application(app_id).report_or_none()
    if report is not None and not report.terminal:
        raise KnitError(f"{app_id} does not end, so no second one is started; it is {report.state}")


def _end_quietly(knit: Knit, app_id: str, logger: Logger) -> None:
    try:
        app = knit.application(app_id)
        if app.report_or_none() is not None:
            app.kill("its run was ended while it was submitted")
    except KnitError as e:
        logger.warning("%s could not be killed: %s", app_id, e)
