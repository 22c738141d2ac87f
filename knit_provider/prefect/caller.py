"""Which run of Prefect a call comes from: what makes a job the job of one flow run, and of one place in it."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from prefect import runtime
from prefect.context import FlowRunContext, TaskRunContext

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
_counts: OrderedDict[tuple[object, ...], int] = OrderedDict()
_counting = threading.Lock()


@dataclass(frozen=True)
class Caller:
    """One call within one run.

    A task that Prefect retries keeps its id. A flow run that is run again makes new task runs, so a place is known by
    the flow run, the task's key, its number in the flow run, and the number of the call in the task.

    Attributes:
        flow_run_id: the flow run; None outside of one.
        root_flow_run_id: the flow run at the top, where the flow is a subflow; else None.
        task_run_id: the task run, or None in the flow's own body.
        place: a digest that is the same each time the same call is made in a retry, or in the flow run run again.
        name: ``<flow>.<task>`` or what there is of it.
        seconds_left: until Prefect's own timeout of the task or the flow; None without one.
    """

    flow_run_id: str | None
    root_flow_run_id: str | None
    task_run_id: str | None
    place: str
    name: str
    seconds_left: float | None = None

    @property
    def place_tag(self) -> str:
        """The application's tag that says which call started it."""
        return f"prefect-call-{self.place}"

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags by which the application is found again."""
        flow_runs = dict.fromkeys(i for i in (self.flow_run_id, self.root_flow_run_id) if i)
        task = (f"prefect-task-run-{self.task_run_id}",) if self.task_run_id else ()
        return (*(flow_run_tag(i) for i in flow_runs), *task, self.place_tag)


def flow_run_tag(flow_run_id: object) -> str:
    """The tag of every application that a flow run started."""
    return f"prefect-flow-run-{flow_run_id}"


def current_caller() -> Caller | None:
    """The run around this call; None outside of Prefect's runs."""
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    task_run = task.task_run if task is not None else None
    if task_run is not None and flow_run is not None and task_run.flow_run_id not in (None, flow_run.id):
        # A subflow that was called by a task: the call is in the subflow's own body.
        task = task_run = None
    flow_run_id = flow_run.id if flow_run is not None else task_run.flow_run_id if task_run is not None else None
    if flow_run_id is None and task_run is None:
        return None
    where: tuple[object, ...] = (
        flow_run_id,
        # Without a flow run only the task run's own id is the same from one try to the next.
        task_run.task_key if task_run is not None and flow_run_id else None,
        task_run.dynamic_key if task_run is not None and flow_run_id else None if task_run is None else task_run.id,
    )
    number = _number(
        (
            *where,
            flow_run.run_count if flow_run is not None else None,
            task_run.id if task_run is not None else None,
            task_run.run_count if task_run is not None else None,
        )
    )
    digest = hashlib.sha256("\0".join(str(part) for part in (*where, number)).encode()).hexdigest()
    return Caller(
        flow_run_id=str(flow_run_id) if flow_run_id else None,
        root_flow_run_id=_root(flow_run),
        task_run_id=str(task_run.id) if task_run is not None else None,
        place=digest[:32],
        name=".".join(
            part
            for part in (
                flow.flow.name if flow is not None and flow.flow is not None else "",
                task.task.name if task is not None else "",
            )
            if part
        ),
        seconds_left=min(
            (
                left
                for left in (
                    _left(flow, flow.flow if flow is not None else None),
                    _left(task, task.task if task is not None else None),
                )
                if left is not None
            ),
            default=None,
        ),
    )


def alone(caller: Caller | None) -> Caller:
    """A caller for a call outside of all runs, which has nothing in common with any other call."""
    return caller or Caller(None, None, None, "", "")


def _number(attempt: tuple[object, ...]) -> int:
    """How many calls this attempt of this run has made before."""
    with _counting:
        number = _counts.pop(attempt, -1) + 1
        _counts[attempt] = number
        while len(_counts) > _REMEMBERED:
            _counts.popitem(last=False)
    return number


def _root(flow_run: Any) -> str | None:
    if flow_run is None or flow_run.parent_task_run_id is None:
        return None
    try:
        return str(runtime.flow_run.root_flow_run_id)
    except Exception as e:
        log.warning("the flow run above %s could not be found out: %s", flow_run.id, e)
        return None


def _left(context: Any, limited: Any) -> float | None:
    timeout = getattr(limited, "timeout_seconds", None)
    if context is None or not timeout:
        return None
    waited = datetime.now(timezone.utc) - context.start_time
    return max(0.0, float(timeout) - float(waited.total_seconds()))
