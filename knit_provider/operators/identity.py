"""One task, one application: what a try does about the application that an earlier try left."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.report import UNKNOWN, ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.rest.yarn_api import YARNAPI

STATE_KEY = "knit_application"
# So often may a person have cleared a task, and its application is still found by its tags.
CLEARED_AT_MOST = 50
# By so much may a DAG's author have lowered a task's retries meanwhile.
LOWERED_AT_MOST = 20


@dataclass(frozen=True)
class StoredApplication:
    """The application that an earlier try of the same task chose.

    Attributes:
        app_id: its YARN application id; whether it was ever submitted, YARN knows.
        max_tries: the task's at that time. Airflow sets it anew, to the number of tries until then and ``retries``,
            when a person clears the task, and leaves it alone else.
        retries: the task's argument at that time; None where it is not known.
        clears: how often anything of the DAG run had been cleared by then; None where it is not known.
    """

    app_id: str
    max_tries: int
    retries: int | None = None
    clears: int | None = None


class ApplicationStore:
    """Where the id is kept between tries: Airflow's task state store, which exists from Airflow 3.3 on.

    XComs cannot carry it, since Airflow deletes a task's XComs before each try.

    Args:
        context: the task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._state = context.get("task_state_store")
        ti = context.get("ti")
        self.max_tries = int(getattr(ti, "max_tries", 0) or 0)
        self.retries = _number(getattr(context.get("task"), "retries", None))
        self.clears = _number(getattr(context.get("dag_run"), "clear_number", None))

    @property
    def available(self) -> bool:
        """Whether anything is kept."""
        return self._state is not None

    def load(self) -> StoredApplication | None:
        """What an earlier try stored, or None."""
        found = self._state.get(STATE_KEY) if self._state is not None else None
        if not isinstance(found, Mapping) or not found.get("app_id"):
            return None
        # The last two were not stored at first.
        return StoredApplication(
            str(found["app_id"]),
            int(found.get("max_tries", 0)),
            _number(found.get("retries")),
            _number(found.get("clears")),
        )

    def save(self, app_id: str) -> None:
        """Keep the id, so that whatever happens from here on a later try finds it."""
        if self._state is not None:
            kept = {"max_tries": self.max_tries, "retries": self.retries, "clears": self.clears}
            self._state.set(STATE_KEY, {"app_id": app_id, **kept})

    def cleared_since(self, stored: StoredApplication) -> bool:
        """Whether a person has cleared the task since a try stored the application; a retry alone is no clearing."""
        if self.max_tries != stored.max_tries:
            # Lower, too: the task has fewer retries by now.
            return True
        # As many as before, after a clearing, if the retries were lowered by as many tries as there had been. A
        # lowering alone looks the same, but for the run, of which nothing was cleared then.
        if None in (self.retries, self.clears, stored.retries, stored.clears) or self.clears == stored.clears:
            return False
        return self.max_tries - (self.retries or 0) > stored.max_tries - (stored.retries or 0)


class Action(enum.Enum):
    """What to do about a stored application."""

    SUBMIT = "there is nothing to go on with: submit a new application"
    SUBMIT_STORED = "the stored id was never submitted: submit under it, which YARN does once at most"
    ATTACH = "it runs or waits: follow it"
    REPLACE = "a person cleared the task while it runs: end it, then submit a new one"
    FINISH = "it has succeeded already: nothing is left to do"
    UNKNOWN = "it was started and nobody knows how it ended: only a person can say"


def decide(
    stored: StoredApplication | None,
    report: ApplicationReport | None,
    *,
    cleared: bool,
    force_rerun: bool = False,
) -> Action:
    """Choose what a try does.

    Args:
        stored: what an earlier try left, or None.
        report: that application's report; None where neither the ResourceManager nor the ledger knows it, which proves
            that it was never started.
        cleared: a person has cleared the task since.
        force_rerun: an application that succeeded is no reason not to start a new one.
    """
    if stored is None:
        return Action.SUBMIT
    if report is None:
        return Action.SUBMIT if cleared else Action.SUBMIT_STORED
    if report.terminal:
        return Action.FINISH if report.succeeded and not cleared and not force_rerun else Action.SUBMIT
    if report.state == UNKNOWN:
        return Action.SUBMIT if cleared else Action.UNKNOWN
    return Action.REPLACE if cleared else Action.ATTACH


def tries_left(context: Mapping[str, Any]) -> bool:
    """Whether Airflow runs the task again should this try fail."""
    ti = context.get("ti")
    return ti is not None and (getattr(ti, "try_number", 0) or 0) <= (getattr(ti, "max_tries", 0) or 0)


def task_tag(context: Mapping[str, Any], deployment: str | None = None) -> str | None:
    """A tag that is the same for every try of a task instance until a person clears it; None outside of a task run.

    Two Airflows on one cluster have equal dag, run and task ids, which is what ``deployment`` is for. YARN folds tags
    to lower case and takes up to 100 ASCII characters, so it is a digest; the number at its end is ``max_tries``.
    """
    ti = context.get("ti")
    if ti is None:
        return None
    return f"{_digest(ti, deployment)}-{int(getattr(ti, 'max_tries', 0) or 0)}"


def find_by_tag(api: YARNAPI, context: Mapping[str, Any], deployment: str) -> StoredApplication | None:
    """The youngest application of the task instance that the ResourceManager still knows.

    Args:
        api: asked as the user who submits: nobody else's application is taken for ours.
        context: the task's.
        deployment: the connection's extra.
    """
    ti = context.get("ti")
    if ti is None:
        return None
    newest = int(getattr(ti, "max_tries", 0) or 0)
    digest = _digest(ti, deployment)
    # Clearing a task with fewer retries than it had lowers the number.
    numbers = range(max(0, newest - CLEARED_AT_MOST), newest + LOWERED_AT_MOST + 1)
    wanted = {f"{digest}-{tries}": tries for tries in numbers}
    found = []
    for app in api.find(tags=list(wanted), user=api.user):
        tries = [wanted[tag] for tag in str(app.get("applicationTags") or "").split(",") if tag in wanted]
        if tries:
            found.append(StoredApplication(str(app["id"]), max(tries)))
    # Ids end in a number that grows.
    return max(found, key=lambda stored: [int(part) for part in stored.app_id.split("_")[1:]], default=None)


def _number(given: object) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _digest(ti: Any, deployment: str | None) -> str:
    parts = [str(getattr(ti, name, "")) for name in ("dag_id", "run_id", "task_id", "map_index")]
    if deployment:
        parts.append(deployment)
    return "airflow-task-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
