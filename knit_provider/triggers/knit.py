"""``KnitTrigger``: waits in the triggerer, without a worker, for an application on YARN."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from knit_provider.hooks.knit import KnitHook
from knit_provider.triggers import kills
from knit_provider.triggers.shared_poll import SharedPoll, shared_poll
from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, KnitError
from knit_provider.yarn.polling import Pace, Patience, reached
from knit_provider.yarn.report import ApplicationReport

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit

log = logging.getLogger(__name__)

# The triggerer has many to wait for, and nobody notices half a second there.
SHORTEST_POLL = 1.0
# No event comes sooner. A scheduler that meets a resumed task before it has noted the end of the process that deferred
# it takes the one for the other, and fails the task ("state mismatch"; apache/airflow#72716, open in Airflow 3.3.1).
# Its rounds take a second, and some more where it is busy.
FIRST_EVENT_SECONDS = 5.0

# What happened, as the event says it.
ENDED, LOST, TIMED_OUT, PENDING, LOGS_DUE, TROUBLE = "ended", "lost", "timed_out", "pending", "logs_due", "trouble"


class KnitTrigger(BaseTrigger):
    """Fires when an application has ended, reaches a state that is waited for, or can no longer be waited for.

    It submits nothing, so it may run any number of times, in any triggerer. It asks the ResourceManager only, together
    with all other triggers of its process that wait at the same cluster. What it is stored with holds no secret: the
    connection is read when it runs.

    The event is a dict: ``event`` (``ended``, ``lost``, ``timed_out``, ``pending``, ``logs_due`` or ``trouble``),
    ``app_id``, ``state``, ``final_status``, ``message`` and, of trouble, the ``error``'s class.

    Args:
        app_id: YARN application id.
        yarn_conn_id: connection of type ``yarn``; None uses the triggerer's own configuration.
        poll_interval: longest time between two looks, in seconds (default 10).
        poll_retry_timeout: seconds for which the cluster may be away, and the connection unreadable (default 300); a
            kill is repeated for as long. A refusal (401, 403) is trouble at once.
        pending_timeout: seconds that the application may wait for its first container; default any time.
        deadline: when the task's time is over, in seconds since the epoch; default never.
        logs_at: when a worker should write what the logs have by then, in seconds since the epoch; default at the end.
        on_kill_action: ``"kill"`` (default) ends the application when a person ends the deferred task, when the
            deadline has passed and when it has been pending for too long; ``"keep"`` leaves it.
        target_states: states and final statuses that end the wait too, such as ``["RUNNING"]``.
        failed_states: the same, for the worse.
        end_from_trigger: where a target was reached, the task succeeds without a worker.
        lifetime_until: when YARN should end the application, in seconds since the epoch. YARN is told once the
            application runs, unless it knows; default: it is told nothing.
    """

    def __init__(
        self,
        app_id: str,
        yarn_conn_id: str | None = KnitHook.default_conn_name,
        poll_interval: float = 10.0,
        poll_retry_timeout: float = 300.0,
        pending_timeout: float | None = None,
        deadline: float | None = None,
        logs_at: float | None = None,
        on_kill_action: str = "kill",
        target_states: Sequence[str] = (),
        failed_states: Sequence[str] = (),
        end_from_trigger: bool = False,
        lifetime_until: float | None = None,
    ) -> None:
        super().__init__()
        self.app_id = app_id
        self.yarn_conn_id = yarn_conn_id
        self.poll_interval = poll_interval
        self.poll_retry_timeout = poll_retry_timeout
        self.pending_timeout = pending_timeout
        self.deadline = deadline
        self.logs_at = logs_at
        self.on_kill_action = on_kill_action
        self.target_states = list(target_states)
        self.failed_states = list(failed_states)
        self.end_from_trigger = end_from_trigger
        self.lifetime_until = lifetime_until
        self._poll: SharedPoll | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as Airflow stores them."""
        return (
            "knit_provider.triggers.knit.KnitTrigger",
            {
                "app_id": self.app_id,
                "yarn_conn_id": self.yarn_conn_id,
                "poll_interval": self.poll_interval,
                "poll_retry_timeout": self.poll_retry_timeout,
                "pending_timeout": self.pending_timeout,
                "deadline": self.deadline,
                "logs_at": self.logs_at,
                "on_kill_action": self.on_kill_action,
                "target_states": self.target_states,
                "failed_states": self.failed_states,
                "end_from_trigger": self.end_from_trigger,
                "lifetime_until": self.lifetime_until,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event. A cancellation passes through: Airflow decides by it whether :meth:`on_kill` runs."""
        began = time.monotonic()
        try:
            event = await self._wait()
        except KnitError as e:
            event = self._event(TROUBLE, message=str(e), error=type(e).__name__)
        await asyncio.sleep(max(0.0, began + FIRST_EVENT_SECONDS - time.monotonic()))
        yield event

    async def on_kill(self) -> None:
        """Tell YARN to end the application: a person marked the deferred task, or cleared it (Airflow 3.3).

        That goes on where Airflow stops to wait for it.
        """
        await self._end("a person ended the task", self.poll_retry_timeout)

    async def _wait(self) -> TriggerEvent:
        pace = Pace(Patience(self.poll_interval, self.poll_retry_timeout, self.pending_timeout), SHORTEST_POLL)
        poll = self._poll = await self._connect(pace)
        if poll is None:
            return self._event(TIMED_OUT)
        # Not at once: the process that deferred the task may still be there, and Airflow wants to see its end first.
        pause, state = SHORTEST_POLL, ""
        while True:
            try:
                report = await self._look(poll, pause)
                pace.answered()
            except ApplicationNotFound as e:
                # The ledger may know more; it lies in HDFS, and a worker reads it.
                return self._event(LOST, message=str(e))
            except ClusterUnavailable as e:
                pace.failed(e)
                self.log.warning("%s; asking again", e)
                report = None
            if report is not None:
                if report.state != state:
                    state = report.state
                    self.log.info("%s is %s", self.app_id, state)
                    if state == "RUNNING" and self.lifetime_until is not None:
                        await poll.call(self._tell_lifetime)
                if report.terminal or reached(report, [*self.target_states, *self.failed_states]):
                    return self._ended(report)
                sentence = pace.patience.too_long_pending(report)
                if sentence is not None:
                    await self._end("it was pending for too long")
                    return self._event(PENDING, report, message=sentence)
            now = time.time()
            if self.deadline is not None and now >= self.deadline:
                await self._end("its task timed out")
                return self._event(TIMED_OUT, report)
            if self.logs_at is not None and now >= self.logs_at and pace.trouble_since is None:
                return self._event(LOGS_DUE, report)
            pause = pace.pause()

    async def _connect(self, pace: Pace) -> SharedPoll | None:
        """The way to the cluster; None where the task's time was over before the connection could be read.

        Airflow says of a connection that it could not fetch, as when a triggerer begins and hundreds of triggers ask at
        once, that there is none. A healthy application is not ended for that.
        """
        while True:
            try:
                poll = await shared_poll(KnitHook(self.yarn_conn_id))
            except KnitError:
                raise  # it was read, and cannot be used
            except Exception as e:
                error = ClusterUnavailable(f"connection {self.yarn_conn_id} could not be read: {type(e).__name__}: {e}")
                pace.failed(error)
                self.log.warning("%s; asking again", error)
            else:
                pace.answered()
                return poll
            if self.deadline is not None and time.time() >= self.deadline:
                return None
            await asyncio.sleep(pace.pause())

    async def _look(self, poll: SharedPoll, pause: float) -> ApplicationReport | None:
        """The next report; None where something that is due comes first."""
        due = [moment for moment in (self.deadline, self.logs_at) if moment is not None]
        if not due:
            return await poll.report(self.app_id, pause)
        asked = asyncio.ensure_future(poll.report(self.app_id, pause))
        try:
            # The report itself may take its time where the ResourceManager does. Not asyncio.wait_for: where the report
            # comes with a cancellation, before Python 3.12 that forgets the latter, and Airflow says it once.
            await asyncio.wait([asked], timeout=max(1.0, min(due) - time.time()))
            return asked.result() if asked.done() else None
        finally:
            asked.cancel()

    def _tell_lifetime(self, conn: Knit) -> None:
        """Have YARN end the application in time; where that fails, its ApplicationMaster does."""
        left = (self.lifetime_until or 0.0) - time.time()
        try:
            known = conn.yarn_api.app_timeouts(self.app_id).get("LIFETIME", {}).get("expiryTime", "UNLIMITED")
            if known == "UNLIMITED" and left >= 1:
                conn.yarn_api.update_lifetime(self.app_id, left)
        except KnitError as e:
            log.warning("%s: YARN could not be told of its lifetime: %s", self.app_id, e)

    def _ended(self, report: ApplicationReport) -> TriggerEvent:
        good = reached(report, self.target_states) and not reached(report, self.failed_states)
        if self.end_from_trigger and good:
            return TaskSuccessEvent(xcoms={"return_value": report.final_status if report.terminal else report.state})
        return self._event(ENDED, report)

    def _event(self, event: str, report: ApplicationReport | None = None, **more: str) -> TriggerEvent:
        said = {
            "event": event,
            "app_id": self.app_id,
            "state": report.state if report else "",
            "final_status": report.final_status if report else "",
            "message": report.diagnostics if report else "",
        }
        return TriggerEvent({**said, **more})

    async def _end(self, why: str, patience: float = 0.0) -> None:
        if self.on_kill_action != "kill":
            self.log.info("%s goes on; `knit kill %s` ends it", self.app_id, self.app_id)
            return
        level, outcome = await kills.kill(self._cluster, self.app_id, why, patience)
        self.log.log(level, outcome)

    async def _cluster(self) -> SharedPoll:
        return self._poll or await shared_poll(KnitHook(self.yarn_conn_id))
