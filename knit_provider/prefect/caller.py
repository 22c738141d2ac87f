"""Which run of Prefect a call comes from: what makes a job the job of one flow run, and of one place in it."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
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

    A task that Prefect retries keeps its id. A flow run that is run again makes new task runs, whose dynamic keys are
    random; so a call is known by the flow run, the task's key, and which of the calls in the task's (or the flow's)
    body it is. The runs of one task share it; what they run tells them apart.

    Attributes:
        flow_run_id: the flow run; None outside of one.
        root_flow_run_id: the flow run at the top, where the flow is a subflow; else None.
        task_run_id: the task run, or None in the flow's own body.
        call: a digest that is the same each time the same call is made by a retry, or by the flow run run again; empty
            outside of all runs.
        attempt: how often the flow run has been run, this time included.
        position: how many other runs of the task made the call before, in this attempt of the flow run.
        name: ``<flow>.<task>`` or what there is of it.
        seconds_left: until Prefect's own timeout of the task or the flow; None without one.
    """

    flow_run_id: str | None = None
    root_flow_run_id: str | None = None
    task_run_id: str | None = None
    call: str = ""
    attempt: int = 0
    position: int = 0
    name: str = ""
    seconds_left: float | None = None

    @property
    def call_tag(self) -> str:
        """The application's tag that says which call started it."""
        return f"prefect-call-{self.call}"

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags by which the application is found again."""
        flow_runs = dict.fromkeys(i for i in (self.flow_run_id, self.root_flow_run_id) if i)
        task = (task_run_tag(self.task_run_id),) if self.task_run_id else ()
        return (*(flow_run_tag(i) for i in flow_runs), *task, self.call_tag, attempt_tag(self.attempt, self.position))


def flow_run_tag(flow_run_id: object) -> str:
    """The tag of every application that a flow run started."""
    return f"prefect-flow-run-{flow_run_id}"


def task_run_tag(task_run_id: object) -> str:
    """The tag of every application that a task run started."""
    return f"prefect-task-run-{task_run_id}"


def attempt_tag(attempt: int, position: int) -> str:
    """The tag that says when an application was started."""
    return f"prefect-attempt-{attempt}-{position}"


def current_caller(*, starts: bool = True) -> Caller:
    """The run around this call.

    Args:
        starts: whether the call starts something, and so counts (default True).

    Returns:
        One without any id outside of Prefect's runs.
    """
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    flow_run = flow.flow_run if flow is not None else None
    task_run = task.task_run if task is not None else None
    if task_run is not None and flow_run is not None and task_run.flow_run_id not in (None, flow_run.id):
        # A subflow that was called by a task: the call is in the subflow's own body.
        task = task_run = None
    flow_run_id = flow_run.id if flow_run is not None else task_run.flow_run_id if task_run is not None else None
    if flow_run_id is None and task_run is None:
        return Caller()
    attempt = int(flow_run.run_count or 0) if flow_run is not None else 0
    task_part: object = None
    if task_run is not None:
        # Without a flow run only the task run's own id is the same from one try to the next.
        task_part = task_run.task_key if flow_run_id else task_run.id
    call, position = "", 0
    if starts:
        body = (task_run.id, task_run.run_count) if task_run is not None else ()
        in_body = _number((flow_run_id, attempt, *body))
        call = hashlib.sha256(f"{flow_run_id}\0{task_part}\0{in_body}".encode()).hexdigest()[:32]
        position = _position(call, attempt, task_run.id if task_run is not None else None)
    return Caller(
        flow_run_id=str(flow_run_id) if flow_run_id else None,
        root_flow_run_id=_root(flow_run),
        task_run_id=str(task_run.id) if task_run is not None else None,
        call=call,
        attempt=attempt,
        position=position,
        name=_name(flow, task),
        seconds_left=_left(flow, task),
    )


def _number(key: tuple[object, ...]) -> int:
    """How often this has been asked with the same key before."""
    with _counting:
        number = _counts.pop(key, -1) + 1
        _remember(key, number)
        return number


def _position(call: str, attempt: int, task_run_id: object) -> int:
    """The number of a task run among those that make the same call; it keeps it when it is retried."""
    whole, one = ("calls", call, attempt), ("call", call, attempt, task_run_id)
    with _counting:
        known = _counts.get(one)
        if known is None:
            known = _counts.pop(whole, -1) + 1
            _remember(whole, known)
            _remember(one, known)
        return known


def _remember(key: tuple[object, ...], number: int) -> None:
    _counts[key] = number
    while len(_counts) > _REMEMBERED:
        _counts.popitem(last=False)


def _root(flow_run: Any) -> str | None:
    if flow_run is None or flow_run.parent_task_run_id is None:
        return None
    try:
        return str(runtime.flow_run.root_flow_run_id)
    except Exception as e:
        log.warning("the flow run above %s could not be found out: %s", flow_run.id, e)
        return None


def _name(flow: Any, task: Any) -> str:
    names = (
        flow.flow.name if flow is not None and flow.flow is not None else "",
        task.task.name if task is not None else "",
    )
    return ".".join(name for name in names if name)


def _left(flow: Any, task: Any) -> float | None:
    """Seconds until the first of the two timeouts."""
    left = []
    for context, limited in ((flow, getattr(flow, "flow", None)), (task, getattr(task, "task", None))):
        timeout = getattr(limited, "timeout_seconds", None)
        if timeout:
            waited = datetime.now(UTC) - context.start_time
            left.append(max(0.0, float(timeout) - float(waited.total_seconds())))
    return min(left, default=None)
