"""One call, one application: what a try does about the applications of earlier ones."""

from __future__ import annotations

import enum
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from knit_provider.prefect.caller import Caller
from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.spec import ApplicationSpec

_JOB, _TASK_RUN, _ATTEMPT = "prefect-job-", "prefect-task-run-", "prefect-attempt-"
_REMEMBERED = 10_000


class Action(enum.Enum):
    """What to do about an application of an earlier try."""

    SUBMIT = "submit a new application"
    SUBMIT_KEPT = "it was never submitted: submit under its id, which YARN does once at most"
    ATTACH = "it is the same job and has not ended: go on with it"
    REPLACE = "it has not ended, and is not what is wanted now: end it, then submit a new one"
    FINISH = "it is the same job and has succeeded: nothing is left to do"
    UNKNOWN = "it was started and nobody knows how it ended: only a person can say"


@dataclass(frozen=True)
class Kept:
    """What a try kept on the Prefect server about an application before it submitted it.

    Attributes:
        app_id: YARN application id.
        job: tag of what it runs.
        task_run_id: whose it is; None for the flow's own body.
        attempt, position: as of :class:`~knit_provider.prefect.caller.Caller`.
    """

    app_id: str
    job: str
    task_run_id: str | None
    attempt: int
    position: int

    def is_own(self, caller: Caller) -> bool:
        """Whether it is of the caller's own run, and not of another run of the same task."""
        return self.task_run_id == caller.task_run_id


@dataclass(frozen=True)
class Earlier:
    """An application that an earlier try of the same call chose.

    Attributes:
        kept: what is known of its origin.
        report: what it is now; None where it was never submitted.
    """

    kept: Kept
    report: ApplicationReport | None

    @property
    def alive(self) -> bool:
        """Whether it has been submitted and has not ended."""
        return self.report is not None and not self.report.terminal and self.report.state != UNKNOWN

    @property
    def order(self) -> tuple[int, int, str]:
        """Later ones are greater."""
        return self.kept.attempt, self.report.started_ms if self.report else 0, self.kept.app_id


class Claims:
    """Which applications the runs of this process have taken over, so that no two take the same."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._taken: OrderedDict[tuple[str, int], tuple[str | None, int]] = OrderedDict()

    def taken_by_another(self, caller: Caller, app_id: str) -> bool:
        """Whether another run of this attempt has it."""
        holder = self._taken.get((app_id, caller.attempt))
        return holder is not None and holder[0] != caller.task_run_id

    def take(self, caller: Caller, app_id: str) -> None:
        """Take it."""
        self._taken[app_id, caller.attempt] = (caller.task_run_id, caller.position)
        while len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)


def candidates(caller: Caller, earlier: Iterable[Earlier], kept: Sequence[Kept], claims: Claims) -> list[Earlier]:
    """Those of the call's applications that a try may be about: its own, else what no other run of now has.

    Args:
        caller: the run and the call.
        earlier: all applications of the call.
        kept: everything that is kept about the call.
        claims: of this process.
    """
    found = list(earlier)
    own = [e for e in found if e.kept.is_own(caller)]
    if own or caller.task_run_id is None:
        return own
    others = {k.app_id for k in kept if k.attempt == caller.attempt and not k.is_own(caller)}
    return [
        e
        for e in found
        if e.kept.attempt < caller.attempt
        and e.kept.app_id not in others
        and not claims.taken_by_another(caller, e.kept.app_id)
    ]


def made_by_several(caller: Caller, kept: Iterable[Kept]) -> bool:
    """Whether more than one run of a task made the call in some attempt so far.

    Args:
        caller: the run and the call.
        kept: everything that is known of the call, from the Prefect server and from applications' tags.
    """
    runs: dict[int, set[str | None]] = {caller.attempt: {caller.task_run_id}}
    for k in kept:
        runs.setdefault(k.attempt, set()).add(k.task_run_id)
    return any(len(ids) > 1 for ids in runs.values())


def decide(
    caller: Caller, found: Sequence[Earlier], job: str, *, reattach: bool, several: bool = False
) -> tuple[Action, Earlier | None]:
    """Choose what a try does.

    Args:
        caller: the run and the call.
        found: the applications that it may be about.
        job: the tag of what is wanted now.
        reattach: whether an earlier application may serve.
        several: whether more than one run of a task made the call in an attempt (default False).

    Returns:
        What to do, and the application that it is about.
    """
    ordered = sorted(found, key=lambda e: e.order, reverse=True)
    own = [e for e in ordered if e.kept.is_own(caller)]
    same = [e for e in ordered if e.kept.job == job]
    # At the same place of an earlier attempt: what the call wanted then. Where several runs of a task make it, one that
    # finds its own job leaves the others theirs: the order of threads differs from one attempt to the next.
    here = own or ([] if same and several else [e for e in ordered if e.kept.position == caller.position])
    if reattach:
        for e in same:
            if e.alive:
                return Action.ATTACH, e
    for e in (*here, *(() if reattach else same)):
        if e.alive:
            return Action.REPLACE, e
    if reattach:
        for e in same:
            if e.report is not None and e.report.succeeded:
                return Action.FINISH, e
        for e in same:
            if e.report is not None and e.report.state == UNKNOWN:
                return Action.UNKNOWN, e
    for e in (*own, *same):
        if e.report is None:
            return Action.SUBMIT_KEPT, e
    return Action.SUBMIT, None


def job_tag(spec: ApplicationSpec) -> str:
    """A tag of what runs, so that a call that now wants something else is not given the old job."""
    described = spec.to_dict()
    # The lifetime is what is left of a timeout, so it differs from one try to the next.
    for name in ("lifetime", "tags"):
        described.pop(name, None)
    text = json.dumps(described, sort_keys=True, default=str)
    return _JOB + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def kept_in_tags(report: ApplicationReport) -> Kept:
    """What an application's tags say of its origin."""
    job, task_run_id, attempt, position = "", None, 0, 0
    for tag in report.tags:
        if tag.startswith(_JOB):
            job = tag
        elif tag.startswith(_TASK_RUN):
            task_run_id = tag[len(_TASK_RUN) :]
        elif tag.startswith(_ATTEMPT):
            first, _, second = tag[len(_ATTEMPT) :].partition("-")
            if first.isdigit() and second.isdigit():
                attempt, position = int(first), int(second)
    return Kept(report.id, job, task_run_id, attempt, position)
