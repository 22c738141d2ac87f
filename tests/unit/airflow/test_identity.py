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
    ("found", "max_tries", "action"),
    [
        # A retry: Airflow leaves max_tries as it was.
        (None, 1, Action.SUBMIT_STORED),
        (report("ACCEPTED"), 1, Action.ATTACH),
        (RUNNING, 1, Action.ATTACH),
        (SUCCEEDED, 1, Action.FINISH),
        (FAILED, 1, Action.SUBMIT),
        (KILLED, 1, Action.SUBMIT),
        (FORGOTTEN, 1, Action.UNKNOWN),
        # A person cleared the task: Airflow raised it.
        (None, 2, Action.SUBMIT),
        (RUNNING, 2, Action.REPLACE),
        (SUCCEEDED, 2, Action.SUBMIT),
        (FAILED, 2, Action.SUBMIT),
        (FORGOTTEN, 2, Action.SUBMIT),
    ],
)
def test_a_try_after_another_one(found: ApplicationReport | None, max_tries: int, action: Action) -> None:
    assert decide(StoredApplication(APP, max_tries=1), found, max_tries) is action


def test_a_first_try_submits() -> None:
    assert decide(None, None, 3) is Action.SUBMIT


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
