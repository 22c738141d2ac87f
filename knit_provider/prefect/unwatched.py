"""Flow runs of a pool whose application nobody watches, since their worker is gone."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus

_WATCHED_STATES = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_APP_ID = re.compile(r"application_\d+_\d+")
_WORKER = "prefect.worker.name"
# A flow run that is scheduled anew is pending for a moment with the application of its last scheduling.
YOUNG = timedelta(seconds=60)
_PAGE = 200


async def unwatched(client: PrefectClient, pool: str, me: str, watched: Collection[UUID]) -> list[FlowRun]:
    """Flow runs that wait, run or are being cancelled, that have an application, and that no living worker watches.

    Two workers that watch the same one do no harm, so what Prefect knows of workers is good enough: it takes one for
    gone that has missed three heartbeats, and two of the same name for one.

    Args:
        client: asks the server.
        pool: the work pool's name.
        me: the name of the worker that asks, in whose place another process may have run before.
        watched: flow runs that it watches already.
    """
    others = {
        worker.name
        for worker in await client.read_workers_for_work_pool(pool)
        if worker.status == WorkerStatus.ONLINE and worker.name != me
    }
    found: list[FlowRun] = []
    offset = 0
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_WATCHED_STATES)),
            ),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
            limit=_PAGE,
            offset=offset,
        )
        found += page
        offset += _PAGE
        if len(page) < _PAGE:
            break
    return [
        flow_run
        for flow_run in found
        if flow_run.id not in watched
        and _APP_ID.fullmatch(flow_run.infrastructure_pid or "")
        and flow_run.labels.get(_WORKER) not in others
        and not _about_to_be_submitted(flow_run)
    ]


def _about_to_be_submitted(flow_run: FlowRun) -> bool:
    state = flow_run.state
    return state is not None and state.is_pending() and datetime.now(UTC) - state.timestamp < YOUNG
