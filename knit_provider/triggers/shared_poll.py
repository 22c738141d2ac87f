"""One look at a cluster for all the triggers of a process that wait for something there.

Each trigger says when it wants to know next. One task asks for all that are due, and for those that are nearly due,
with one request for all live applications of the same user and type; only those that are missing from its answer, which
is what an application does when it ends, are asked about one by one. Five hundred triggers cost the ResourceManager
what one costs, and one request more for each application that ends.

The requests run in a few threads of their own. No thread talks to Airflow.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from knit_provider.yarn.errors import ApplicationNotFound, KnitError
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.rest.shapes import LIVE_STATES

if TYPE_CHECKING:
    from knit_provider.hooks.knit import KnitHook
    from knit_provider.yarn.knit import Knit

T = TypeVar("T")
Answer = ApplicationReport | KnitError

# Below this, asking one by one is cheaper for the ResourceManager than listing.
WORTH_A_LIST = 3
# How much of its pause a look may come early so that it is shared.
EARLY = 0.5
THREADS = 4


@dataclass(frozen=True)
class _Waiting:
    app_id: str
    due: float
    earliest: float
    answer: asyncio.Future[ApplicationReport]


class SharedPoll:
    """The looks at one cluster as one user, shared within one event loop.

    Args:
        new_conn: makes the handle on the cluster; called once, in a thread.
    """

    def __init__(self, new_conn: Callable[[], Knit]) -> None:
        self._new_conn = new_conn
        self._conn: Knit | None = None
        self._making = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._groups: dict[str, tuple[str, str]] = {}

    async def report(self, app_id: str, pause: float) -> ApplicationReport:
        """The application's report in about ``pause`` seconds.

        Raises:
            ApplicationNotFound: the ResourceManager does not know it (any more).
            KnitError: it could not be asked.
        """
        now = time.monotonic()
        answer: asyncio.Future[ApplicationReport] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(app_id, now + pause, now + pause * (1 - EARLY), answer))
        self._changed.set()
        if self._task is None or self._task.done():
            # Without the context of the trigger that happens to come first: its log would get what is of all.
            self._task = contextvars.Context().run(asyncio.get_running_loop().create_task, self._run())
        return await answer

    async def call(self, what: Callable[[Knit], T]) -> T:
        """Run a call to the cluster in one of the threads."""
        return await self.begin(what, _threads())

    def begin(self, what: Callable[[Knit], T], threads: ThreadPoolExecutor) -> asyncio.Future[T]:
        """Queue a call to the cluster in threads of one's own; who cancels the answer withdraws what is queued."""
        return asyncio.get_running_loop().run_in_executor(threads, lambda: what(self._connected()))

    async def _run(self) -> None:
        while self._waiting:
            self._changed.clear()
            until = min(w.due for w in self._waiting) - time.monotonic()
            if until > 0:
                try:
                    await asyncio.wait_for(self._changed.wait(), until)
                except TimeoutError:
                    pass
                else:
                    continue
            now = time.monotonic()
            alive = [w for w in self._waiting if not w.answer.done()]  # the rest was cancelled
            due = [w for w in alive if w.earliest <= now]
            self._waiting = [w for w in alive if w.earliest > now]
            wanted = sorted({w.app_id for w in due})
            try:
                answers = await self.call(lambda conn, ids=wanted: self._ask(conn, ids))  # type: ignore[misc]
            except Exception as e:
                # Also what is no KnitError: every trigger that waits is told, none waits for ever.
                answers = dict.fromkeys(wanted, e)
            for w in due:
                found = answers[w.app_id]
                if w.answer.done():
                    continue
                if isinstance(found, ApplicationReport):
                    w.answer.set_result(found)
                else:
                    w.answer.set_exception(found)

    # -- in a thread ----------------------------------------------------------------------------------------------

    def _connected(self) -> Knit:
        with self._making:
            if self._conn is None:
                self._conn = self._new_conn()
                weakref.finalize(self, self._conn.close)
            return self._conn

    def _ask(self, conn: Knit, app_ids: Sequence[str]) -> dict[str, Answer | Exception]:
        groups: dict[tuple[str, str], list[str]] = {}
        for app_id in app_ids:
            if app_id in self._groups:
                groups.setdefault(self._groups[app_id], []).append(app_id)
        found: dict[str, Answer | Exception] = {}
        for (user, kind), members in groups.items():
            if len(members) >= WORTH_A_LIST:
                wanted = set(members)
                for app in conn.yarn_api.find(user=user, types=[kind], states=LIVE_STATES):
                    if app["id"] in wanted:
                        found[str(app["id"])] = ApplicationReport.from_rm(app)
        for app_id in app_ids:
            if app_id not in found:
                found[app_id] = self._ask_one(conn, app_id)
        return found

    def _ask_one(self, conn: Knit, app_id: str) -> Answer:
        known = self._groups.pop(app_id, None)
        try:
            report = ApplicationReport.from_rm(conn.yarn_api.status(app_id))
        except KnitError as e:
            if known is not None and not isinstance(e, ApplicationNotFound):
                self._groups[app_id] = known
            return e
        if report.user and report.application_type and not report.terminal:
            self._groups[app_id] = (report.user, report.application_type)
        return report


# By event loop and cluster. A poll lives as long as a trigger holds it.
_polls: weakref.WeakValueDictionary[tuple[int, str], SharedPoll] = weakref.WeakValueDictionary()
_pool: list[ThreadPoolExecutor] = []


async def shared_poll(hook: KnitHook) -> SharedPoll:
    """The poll of the hook's cluster in this process, for the running event loop."""
    await hook.aread_connection()
    key = (id(asyncio.get_running_loop()), hook.cluster_key)
    poll = _polls.get(key)
    if poll is None:
        poll = _polls[key] = SharedPoll(hook.new_conn)
    return poll


def _threads() -> ThreadPoolExecutor:
    if not _pool:
        # Not the event loop's own threads: a ResourceManager that hangs must not keep other triggers from theirs.
        _pool.append(ThreadPoolExecutor(THREADS, thread_name_prefix="knit-poll"))
    return _pool[0]
