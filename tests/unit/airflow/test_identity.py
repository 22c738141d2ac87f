"""What a try does about the application of an earlier one: one task, one application, never two."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from knit_provider.operators.identity import Action, ApplicationStore, StoredApplication, decide, task_tag
from knit_provider.yarn.report import ApplicationReport

APP = "application_1700000000000_0001"


def report(state: str, final_status: str = "UNDEFINED") -> ApplicationReport:
    return ApplicationReport(id=APP, state=state, final_status=final_status)


RUNNING = report("RUNNING")
SUCCEEDED = report("FINISHED", "SUCCEEDED")
FAILED = report("FINISHED", "FAILED")
KILLED = report("KILLED", "KILLED")
FORGOTTEN = report("UNKNOWN")


@pytest.mark.parametrize(
    ("found", "cleared", "action"),
    [
        (None, False, Action.SUBMIT_STORED),
        (report("ACCEPTED"), False, Action.ATTACH),
        (RUNNING, False, Action.ATTACH),
        (SUCCEEDED, False, Action.FINISH),
        (FAILED, False, Action.SUBMIT),
        (KILLED, False, Action.SUBMIT),
        (FORGOTTEN, False, Action.UNKNOWN),
        (None, True, Action.SUBMIT),
        (RUNNING, True, Action.REPLACE),
        (SUCCEEDED, True, Action.SUBMIT),
        (FAILED, True, Action.SUBMIT),
        (FORGOTTEN, True, Action.SUBMIT),
    ],
)
def test_a_try_after_another_one(found: ApplicationReport | None, cleared: bool, action: Action) -> None:
    assert decide(StoredApplication(APP, max_tries=1), found, cleared=cleared) is action


def test_a_first_try_submits() -> None:
    assert decide(None, None, cleared=False) is Action.SUBMIT


def a_try(max_tries: int, retries: int | None, clears: int | None) -> dict[str, Any]:
    """A task's context; Airflow sets ``max_tries`` to the number of tries and ``retries`` when a person clears it."""
    return {
        "ti": SimpleNamespace(max_tries=max_tries),
        "task": SimpleNamespace(retries=retries),
        "dag_run": SimpleNamespace(clear_number=clears),
    }


@pytest.mark.parametrize(
    ("stored", "now", "cleared"),
    [
        ((2, 2, 0), (2, 2, 0), False),  # a retry
        ((2, 2, 0), (2, 2, 1), False),  # a retry, and something else of the run was cleared
        ((2, 2, 0), (3, 2, 1), True),  # cleared after one try
        ((2, 2, 0), (2, 1, 1), True),  # with one retry less than before
        ((3, 3, 0), (1, 0, 1), True),  # with none any more
        ((0, 0, 0), (3, 2, 1), True),  # with more
        ((2, 2, 0), (2, 1, 0), False),  # a retry, after the DAG was edited: of the run nothing was cleared
        ((2, 1, 1), (2, 3, 2), False),  # the same, with more of them
        ((2, None, None), (2, 1, 1), False),  # stored in an earlier format
        ((2, None, None), (3, 1, 1), True),
        ((2, 2, 0), (2, None, None), False),
    ],
)
def test_what_a_clearing_is(
    stored: tuple[int, int | None, int | None], now: tuple[int, int | None, int | None], cleared: bool
) -> None:
    state = State()
    ApplicationStore({**a_try(*stored), "task_state_store": state}).save(APP)
    found = ApplicationStore({**a_try(*now), "task_state_store": state})
    kept = found.load()
    assert kept == StoredApplication(APP, *stored)
    assert found.cleared_since(kept) is cleared


def test_an_earlier_format_is_read() -> None:
    state = State({"knit_application": {"app_id": APP, "max_tries": 2}})
    store = ApplicationStore({**a_try(2, 1, 1), "task_state_store": state})
    assert store.load() == StoredApplication(APP, 2)
    assert not store.cleared_since(StoredApplication(APP, 2))


class State(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


def test_what_a_try_stores_the_next_one_finds() -> None:
    context = {"task_state_store": State(), "ti": SimpleNamespace(max_tries=2)}
    assert ApplicationStore(context).load() is None
    ApplicationStore(context).save(APP)
    assert ApplicationStore(context).load() == StoredApplication(APP, 2)


def test_without_a_state_store_nothing_is_found() -> None:
    store = ApplicationStore({})
    store.save(APP)
    assert store.load() is None
    assert not store.available


def test_the_tag_is_the_task_instances_own() -> None:
    def tag(**changed: Any) -> str | None:
        names = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1} | changed
        return task_tag({"ti": SimpleNamespace(**names)})

    first = tag()
    assert first == tag()
    assert first is not None
    assert first == first.lower()
    assert len(first) <= 100
    others = [tag(dag_id="x"), tag(run_id="x"), tag(task_id="x"), tag(map_index=0), tag(dag_id="dr", run_id="")]
    assert len({first, *others}) == 6
    assert task_tag({}) is None
