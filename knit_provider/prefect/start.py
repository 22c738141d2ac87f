"""One call, one application: what a call does about the application of an earlier try."""

from __future__ import annotations

import enum
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prefect.exceptions import CancelledRun

from knit_provider.prefect.caller import Caller
from knit_provider.prefect.page import RunPage
from knit_provider.yarn.errors import ApplicationNotFound, KnitError
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.spec import ApplicationSpec

REPLACE_SECONDS = 60.0
_JOB = "prefect-job-"


class Action(enum.Enum):
    """What to do about an application of an earlier try."""

    SUBMIT = "submit a new application"
    SUBMIT_KEPT = "it was never submitted: submit under its id, which YARN does once at most"
    ATTACH = "it is the same job and has not ended: go on with it"
    REPLACE = "it is another job and has not ended: end it, then submit a new one"
    FINISH = "it is the same job and has succeeded: nothing is left to do"
    UNKNOWN = "it was started and nobody knows how it ended: only a person can say"


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
    knit: Knit,
    spec: ApplicationSpec,
    caller: Caller,
    page: RunPage,
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
    *,
    reattach: bool = True,
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
    if not caller.place:
        app_id = knit.submit(spec, bound=False)
        return Started(app_id, application_url(knit, app_id))
    job = job_tag(spec)
    spec = replace(spec, tags=(*spec.tags, *caller.tags, job))
    earlier = [ApplicationReport.from_rm(app) for app in knit.yarn_api.find(tags=[caller.place_tag])]
    kept = page.kept_id()
    if kept is not None and kept not in {report.id for report in earlier}:
        report = report_or_none(knit, kept)
        if report is not None:
            earlier.append(report)
    action, chosen = decide(earlier, job, kept, reattach=reattach)
    if action is Action.UNKNOWN and chosen is not None:
        raise KnitError(
            f"{chosen.id} was started by an earlier try; the ResourceManager has forgotten it and the ledger holds no "
            "outcome, so whether it succeeded is unknown. reattach=False starts the job anew"
        )
    for report in earlier:
        if not report.terminal and report.state != UNKNOWN and (action is not Action.ATTACH or report is not chosen):
            logger.info("%s is of an earlier try; %s", report.id, Action.REPLACE.value)
            _replace(knit, report.id)
    if action in (Action.ATTACH, Action.FINISH) and chosen is not None:
        url = application_url(knit, chosen.id)
        logger.info("%s is of an earlier try; %s: %s", chosen.id, action.value, url)
        return Started(chosen.id, url, attached=True)
    if page.cancelled(now=True):
        raise CancelledRun("the flow run was cancelled, so no application is started")
    if action is Action.SUBMIT_KEPT and kept is not None:
        logger.info("%s is of an earlier try; %s", kept, action.value)
        app_id = kept
    else:
        app_id = knit.new_application()
    url = application_url(knit, app_id)
    page.keep_id(app_id, url)
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


def decide(
    earlier: Sequence[ApplicationReport], job: str, kept: str | None, *, reattach: bool
) -> tuple[Action, ApplicationReport | None]:
    """Choose what a try does.

    Args:
        earlier: every application that an earlier try of this call started.
        job: the tag of the job that is wanted now.
        kept: the id that the last try kept, whether it was submitted or not.
        reattach: whether an earlier application may serve.

    Returns:
        What to do, and the application that it is about.
    """
    alive = [r for r in earlier if not r.terminal and r.state != UNKNOWN]
    if alive:
        newest = max(alive, key=lambda r: r.started_ms)
        return (Action.ATTACH if reattach and job in newest.tags else Action.REPLACE), newest
    if earlier and reattach:
        newest = max(earlier, key=lambda r: (r.id == kept, r.started_ms))
        # The ledger keeps no tags; what it knows was found by its id, which this call kept.
        same = job in newest.tags or not newest.tags
        if newest.state == UNKNOWN:
            return Action.UNKNOWN, newest
        if newest.succeeded and same:
            return Action.FINISH, newest
    if kept is not None and kept not in {r.id for r in earlier}:
        return Action.SUBMIT_KEPT, None
    return Action.SUBMIT, None


def job_tag(spec: ApplicationSpec) -> str:
    """A tag of what runs, so that a call that now wants something else is not given the old job."""
    described = spec.to_dict()
    # The lifetime is what is left of a timeout, so it differs from one try to the next.
    for name in ("lifetime", "tags"):
        described.pop(name, None)
    text = json.dumps(described, sort_keys=True, default=str)
    return _JOB + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def application_url(knit: Knit, app_id: str) -> str:
    """The ResourceManager's page about an application."""
    session = knit.connection.session
    base = session.active_address if session.addresses else ""
    return f"{base.rstrip('/')}/cluster/app/{app_id}" if base else ""


def report_or_none(knit: Knit, app_id: str) -> ApplicationReport | None:
    """What is known of an application; None where it was never started."""
    try:
        return knit.application(app_id).report()
    except ApplicationNotFound:
        return None


def _replace(knit: Knit, app_id: str) -> None:
    app = knit.application(app_id)
    if app.kill("another try of its call has begun", timeout=REPLACE_SECONDS):
        return
    report = report_or_none(knit, app_id)
    if report is not None and not report.terminal:
        raise KnitError(f"{app_id} does not end, so no second one is started; it is {report.state}")


def _end_quietly(knit: Knit, app_id: str, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
    try:
        if report_or_none(knit, app_id) is not None:
            knit.application(app_id).kill("its run was ended while it was submitted")
    except KnitError as e:
        logger.warning("%s could not be killed: %s", app_id, e)
