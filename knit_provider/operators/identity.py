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


@dataclass(frozen=True)
class StoredApplication:
    """The application that an earlier try of the same task chose.

    Attributes:
        app_id: its YARN application id; whether it was ever submitted, YARN knows.
        max_tries: the task's at that time. Airflow raises it when a person clears the task, and not for a retry.
    """

    app_id: str
    max_tries: int


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

    @property
    def available(self) -> bool:
        """Whether anything is kept."""
        return self._state is not None

    def load(self) -> StoredApplication | None:
        """What an earlier try stored, or None."""
        found = self._state.get(STATE_KEY) if self._state is not None else None
        if not isinstance(found, Mapping) or not found.get("app_id"):
            return None
        return StoredApplication(str(found["app_id"]), int(found.get("max_tries", 0)))

    def save(self, app_id: str) -> None:
        """Keep the id, so that whatever happens from here on a later try finds it."""
        if self._state is not None:
            self._state.set(STATE_KEY, {"app_id": app_id, "max_tries": self.max_tries})


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
    max_tries: int,
    *,
    force_rerun: bool = False,
) -> Action:
    """Choose what a try does.

    Args:
        stored: what an earlier try left, or None.
        report: that application's report; None where neither the ResourceManager nor the ledger knows it, which proves
            that it was never started.
        max_tries: of the task now.
        force_rerun: an application that succeeded is no reason not to start a new one.
    """
    if stored is None:
        return Action.SUBMIT
    cleared = max_tries > stored.max_tries
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
    wanted = {f"{digest}-{tries}": tries for tries in range(max(0, newest - CLEARED_AT_MOST), newest + 1)}
    found = []
    for app in api.find(tags=list(wanted), user=api.user):
        tries = [wanted[tag] for tag in str(app.get("applicationTags") or "").split(",") if tag in wanted]
        if tries:
            found.append(StoredApplication(str(app["id"]), max(tries)))
    # Ids end in a number that grows.
    return max(found, key=lambda stored: [int(part) for part in stored.app_id.split("_")[1:]], default=None)


def _digest(ti: Any, deployment: str | None) -> str:
    parts = [str(getattr(ti, name, "")) for name in ("dag_id", "run_id", "task_id", "map_index")]
    if deployment:
        parts.append(deployment)
    return "airflow-task-" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
