"""Kills that go on when nobody waits for them any more.

When a person ends a run of many mapped tasks, Airflow calls ``on_kill`` of hundreds of triggers at once, and gives up
each of them after 30 s (``[triggerer] on_kill_timeout``). So a kill is a task of its own, in a few threads of its own:
what is queued is sent, whoever waited for it, and sent again while the cluster does not answer. An accepted kill is not
watched: the ResourceManager sees it through.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from knit_provider.triggers.shared_poll import SharedPoll
from knit_provider.yarn.errors import ApplicationNotFound, AuthenticationFailed, ConfigurationError, PermissionDenied

log = logging.getLogger(__name__)

# Together with the threads that look, as many as the HTTP session keeps connections.
THREADS = 12
# Between two calls to a cluster that does not answer.
PAUSE_SECONDS = 2.0
# How long the end of the event loop, and of its process, waits for what is queued.
LAST_SECONDS = 10.0

# Asking again cannot mend these.
_FINAL = (ApplicationNotFound, AuthenticationFailed, ConfigurationError, PermissionDenied)

# The level to log it at, and a sentence.
Outcome = tuple[int, str]

_pool: list[ThreadPoolExecutor] = []
_going: set[asyncio.Task[Outcome]] = set()


async def kill(poll_of: Callable[[], Awaitable[SharedPoll]], app_id: str, why: str, patience: float) -> Outcome:
    """Tell YARN to end an application. A cancellation ends the wait for it, and not the kill.

    Args:
        poll_of: the way to the cluster; asked again where it fails.
        app_id: YARN application id.
        why: for the application's report.
        patience: seconds in a row for which the cluster may be away; with 0 it is told once.

    Returns:
        What came of it: a level of ``logging``, and a sentence.
    """
    loop = asyncio.get_running_loop()
    # Without the context of the trigger, whose log is closed when it has ended.
    task = contextvars.Context().run(loop.create_task, _until_accepted(poll_of, app_id, why, patience))
    _going.add(task)
    task.add_done_callback(_going.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_tell)
        raise


async def _until_accepted(
    poll_of: Callable[[], Awaitable[SharedPoll]], app_id: str, why: str, patience: float
) -> Outcome:
    trouble_since: float | None = None
    while True:
        try:
            poll = await poll_of()
            await _put(poll, app_id, why)
        except Exception as e:
            now = time.monotonic()
            trouble_since = now if trouble_since is None else trouble_since
            if isinstance(e, _FINAL) or now + PAUSE_SECONDS > trouble_since + patience:
                return logging.WARNING, f"{app_id} could not be killed: {e}"
            log.warning("%s could not be killed: %s; trying again", app_id, e)
        else:
            return logging.INFO, f"{app_id} was told to end: {why}"
        await asyncio.sleep(PAUSE_SECONDS)


async def _put(poll: SharedPoll, app_id: str, why: str) -> None:
    if not _pool:
        _pool.append(ThreadPoolExecutor(THREADS, thread_name_prefix="knit-kill"))
    # With a timeout of 0 it is told and not looked at. Not a task, which the end of the loop would cancel.
    job = poll.begin(lambda conn: conn.yarn_api.kill(app_id, timeout=0, diagnostics=f"Airflow: {why}"), _pool[0])
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        # Only the end of the loop cancels this. The process may be gone right after it, and what is queued with it.
        await asyncio.wait([job], timeout=LAST_SECONDS)
        raise


def _tell(task: asyncio.Task[Outcome]) -> None:
    if not task.cancelled():
        log.log(*task.result())
