"""What the operators that wait for an application have in common, on a worker and in the triggerer."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, AirflowTaskTimeout, conf

from knit_provider.operators.application import KILL_SECONDS, PERMANENT, ApplicationOperator
from knit_provider.operators.arguments import check_watching, exit_codes, seconds, whole
from knit_provider.operators.identity import tries_left
from knit_provider.yarn import errors
from knit_provider.yarn.errors import ApplicationFailed, ApplicationKilled, ClusterUnavailable, KnitError, WaitTimeout
from knit_provider.yarn.polling import Patience
from knit_provider.yarn.report import ApplicationReport

if TYPE_CHECKING:
    from knit_provider.hooks.knit import KnitHook
    from knit_provider.operators.task_log import TaskLog
    from knit_provider.operators.watch import Watch
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.logs import LogCursor

# How long after the trigger's own deadline Airflow ends a deferral that no triggerer looks after.
DEFERRAL_MARGIN = 60.0
FAILED_IN_TRIGGERER = "__fail__"


class WatchingOperator(ApplicationOperator):
    """Waits for the end of one application, writes its logs into the task's log and tells its outcome.

    The same happens on a worker and with ``deferrable=True``: then a trigger waits, and a worker is needed only for the
    logs and the outcome at the end. See the subclasses for the arguments.
    """

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 10.0,
        poll_retry_timeout: float = 300.0,
        pending_timeout: float | None = None,
        get_logs: bool = True,
        logging_interval: float | None = None,
        log_tail_lines: int = 20,
        log_max_bytes: int = 64 * 1024 * 1024,
        skip_on_exit_code: int | Sequence[int] | None = None,
        on_kill_action: str = "kill",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.poll_retry_timeout = poll_retry_timeout
        self.pending_timeout = pending_timeout
        self.get_logs = get_logs
        self.logging_interval = logging_interval
        self.log_tail_lines = log_tail_lines
        self.log_max_bytes = log_max_bytes
        self.skip_on_exit_code = skip_on_exit_code
        self.on_kill_action = on_kill_action
        self._killer: Knit | None = None
        self._watch: Watch | None = None
        self._lines: TaskLog | None = None
        self._lifetime_until: float | None = None
        self._logs_complete = False

    # -- what subclasses say --------------------------------------------------------------------------------------

    def _stored_id(self, context: Mapping[str, Any], conn: Knit) -> str | None:
        """The application of this task instance, as any process finds it."""
        raise NotImplementedError

    def _start_anew(self, context: Mapping[str, Any], hook: KnitHook, conn: Knit) -> Application | None:
        """A new application in place of one that was killed after this try had found it; None: there is none."""
        return None

    def _outcome(self, app: Application, report: ApplicationReport, result: Any) -> Any:
        """What the task returns of an application that succeeded."""
        raise NotImplementedError

    def _next_try_finds_it(self, context: Mapping[str, Any]) -> bool:
        """Whether a retry goes on with the application that this try leaves."""
        return True

    def _remote_error(self, app: Application, error: ApplicationFailed) -> BaseException:
        """The exception that the task ends with when its application has failed."""
        return error

    # -- waiting --------------------------------------------------------------------------------------------------

    def on_kill(self) -> None:
        """End the application by one REST call; Airflow's SIGTERM handler runs this in the midst of ``execute``."""
        self._stopping = True
        try:
            if self._app_id is not None and self._killer is not None:
                self._end(self._app_id, self._killer)
        finally:
            if self._watch is not None:
                self._watch.wake()

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any], **kept: Any) -> Any:
        """Go on where a trigger stopped. Airflow calls this on a worker.

        Raises:
            AirflowFailException: for what no retry can mend.
            AirflowTaskTimeout: the task's time is over.
            ApplicationFailed: the application did not succeed.
        """
        from knit_provider.triggers import knit as trigger

        with self._connected() as (hook, conn):
            app = conn.application(str(event["app_id"]))
            self._app_id = app.id
            what = event["event"]
            if what == trigger.LOGS_DUE:
                self._defer(context, app.id, self._write_logs(app, kept))
            if what == trigger.TROUBLE:
                error = error_of(event)
                self._give_up(context, app.id, error)
                raise error
            if what in (trigger.TIMED_OUT, trigger.PENDING):
                # The trigger has tried; where its call was lost, this one may arrive.
                self._end(app.id, conn)
                self._write_logs(app, kept)
                _tidied(app)
                if what == trigger.PENDING:
                    raise self._pending(app.id, str(event["message"]))
                raise AirflowTaskTimeout(f"the task's time is over; {app.id} {self._fate()}")
            return self._to_the_end(context, hook, conn, app, kept)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Also ends the application where Airflow gave up on the trigger: its deferral timed out, or it failed."""
        if next_method == FAILED_IN_TRIGGERER:
            try:
                with self._connected() as (_, conn):
                    app_id = self._stored_id(context, conn)
                    if app_id is not None:
                        self._end(app_id, conn)
                        _tidied(conn.application(app_id))
            except Exception as e:
                # What Airflow has to say of the trigger is the news, not this.
                self.log.warning("The application of this task could not be ended: %s", e)
        return super().resume_execution(next_method, next_kwargs, context)

    def _wait(self, context: Mapping[str, Any], hook: KnitHook, conn: Knit, app: Application, *, attached: bool) -> Any:
        kept = {"attached": attached, "lifetime_until": self._lifetime_until}
        if self.deferrable and not (attached and _has_ended(app)):
            self._defer(context, app.id, kept)
        return self._to_the_end(context, hook, conn, app, kept)

    def _defer(self, context: Mapping[str, Any], app_id: str, kept: Mapping[str, Any]) -> NoReturn:
        from knit_provider.triggers.knit import KnitTrigger
        from knit_provider.yarn.submission.lifetime import leave_to_the_masters

        deadline = kept.get("deadline") or self._deadline(context)
        streams = self.get_logs and self.logging_interval is not None
        trigger = KnitTrigger(
            app_id,
            self.yarn_conn_id,
            poll_interval=seconds(self.poll_interval, "poll_interval"),
            poll_retry_timeout=seconds(self.poll_retry_timeout, "poll_retry_timeout"),
            pending_timeout=self._patience().pending_timeout,
            deadline=deadline,
            logs_at=time.time() + seconds(self.logging_interval, "logging_interval") if streams else None,
            on_kill_action=self.on_kill_action,
            lifetime_until=kept.get("lifetime_until"),
        )
        # A process that lingers after it has deferred may end when the task runs again already, which Airflow takes
        # for the end of that. The trigger tells YARN of the lifetime in its place.
        leave_to_the_masters()
        timeout = None
        if deadline is not None:
            timeout = timedelta(seconds=max(0.0, deadline - time.time()) + DEFERRAL_MARGIN)
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={**kept, "deadline": deadline},
            timeout=timeout,
        )
        raise AssertionError("defer raises")  # pragma: no cover

    def _to_the_end(
        self, context: Mapping[str, Any], hook: KnitHook, conn: Knit, app: Application, kept: Mapping[str, Any]
    ) -> Any:
        try:
            report = self._follow(app, kept)
        except (ApplicationFailed, AirflowFailException):
            raise
        except KnitError as e:
            self._give_up(context, app.id, e)
            raise
        if kept.get("attached") and report.killed and not report.timed_out:
            # This try found it just before the kill that ended the previous try landed.
            again = self._start_anew(context, hook, conn)
            if again is not None:
                return self._wait(context, hook, conn, again, attached=False)
        return self._conclude(context, app, report)

    def _follow(self, app: Application, kept: Mapping[str, Any]) -> ApplicationReport:
        """Watch to the end; the last report."""
        from knit_provider.operators.watch import Pending, Watch, Woken
        from knit_provider.yarn.logs.chunk import LogChunk
        from knit_provider.yarn.logs.reader import LogTrouble

        lines, cursor = self._task_log(app, kept)
        self._watch = Watch(app, self._patience(), logs=self.get_logs, cursor=cursor)
        # What earlier visits of a worker have read, this process knows nothing of.
        self._logs_complete = self.get_logs and not kept.get("cursor")
        report = None
        try:
            for event in self._watch.events():
                if isinstance(event, LogChunk):
                    lines.add(event)
                elif isinstance(event, Woken) or self._stopping:
                    raise ApplicationKilled(f"the task was stopped; {app.id} {self._fate()}", app_id=app.id)
                elif isinstance(event, ApplicationReport):
                    report = event
                    lines.say(f"{app.id} is {report.state}")
                elif isinstance(event, Pending):
                    self._end(app.id, self._killer)
                    raise self._pending(app.id, event)
                else:
                    self._logs_complete = self._logs_complete and not isinstance(event, LogTrouble)
                    lines.say(f"{app.id}: {event}")
        finally:
            lines.close()
        if report is None or not report.terminal:
            raise AirflowFailException(
                f"{app.id}: the ResourceManager has forgotten it and the ledger holds no outcome, so how it ended is "
                "unknown. Clear the task to start it anew"
            )
        return report

    def _write_logs(self, app: Application, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Write what the logs have by now; returns ``kept`` with where they were read to."""
        from knit_provider.yarn.logs.results import RESULT_FILE

        if not self.get_logs:
            return dict(kept)
        lines, cursor = self._task_log(app, kept)
        try:
            for chunk in app.iter_logs(cursor=cursor):
                lines.add(chunk)
        except KnitError as e:
            lines.say(f"The logs of {app.id} could not be read to their end: {e}")
        finally:
            lines.close()
        # Results are read whole, at the end.
        read = {key: length for key, length in cursor.to_dict().items() if not key.endswith(f"/{RESULT_FILE}")}
        return {**kept, "cursor": read, "log_bytes_left": lines.bytes_left}

    def _task_log(self, app: Application, kept: Mapping[str, Any]) -> tuple[TaskLog, LogCursor]:
        from knit_provider.operators.task_log import TaskLog
        from knit_provider.yarn.logs.chunk import LogCursor

        left = kept.get("log_bytes_left")
        lines = self._lines = TaskLog(
            self.log.info,
            tail_lines=whole(self.log_tail_lines, "log_tail_lines"),
            max_bytes=whole(self.log_max_bytes, "log_max_bytes") if left is None else int(left),
            of_any_type=self._of_any_type(app),
        )
        return lines, LogCursor.from_dict(kept.get("cursor"))

    def _of_any_type(self, app: Application) -> bool:
        return False

    # -- the end --------------------------------------------------------------------------------------------------

    def _conclude(self, context: Mapping[str, Any], app: Application, report: ApplicationReport) -> Any:
        self._push(context, "final_status", report.final_status)
        if not report.succeeded:
            error = self._failure(app, report)
            if error.exit_code is not None and error.exit_code in exit_codes(self.skip_on_exit_code):
                raise AirflowSkipException(f"{app.id} ended with exit code {error.exit_code}: {error}")
            raise self._remote_error(app, error)
        try:
            result = self._result(app)
        except KnitError as e:
            if isinstance(e, ClusterUnavailable) and self._next_try_finds_it(context):
                # It is not to be had yet; the next try finds the application ended, and looks for it again.
                raise
            raise AirflowFailException(f"{app.id} succeeded, but its result cannot be used: {e}") from e
        if result is not None:
            self._push(context, "result", result)
        self.log.info("%s succeeded", app.id)
        return self._outcome(app, report, result)

    def _result(self, app: Application) -> Any:
        """What the containers wrote to ``$KNIT_RESULT``."""
        if self._logs_complete and self._lines is not None:
            return self._lines.results()
        return app.result()

    def _failure(self, app: Application, report: ApplicationReport) -> ApplicationFailed:
        """The application's failure with the failing container's last words, as far as YARN's text lacks them."""
        from knit_provider.yarn.logs.last_words import failing_container, with_last_words

        container_id = failing_container(report)
        tail = self._lines.tail(container_id) if container_id and self._lines else []
        return with_last_words(app.failure(report), report, container_id, tail)

    def _give_up(self, context: Mapping[str, Any], app_id: str, error: KnitError) -> None:
        """The wait failed, not the application: what becomes of that, where this is the last try?"""
        if isinstance(error, PERMANENT) or not tries_left(context) or not self._next_try_finds_it(context):
            self._end(app_id, self._killer)
        else:
            self.log.info("%s goes on, and the next try with it", app_id)

    def _pending(self, app_id: str, sentence: str) -> KnitError:
        text = f"{sentence}; {app_id} {self._fate()}"
        return WaitTimeout(text) if self.on_kill_action == "keep" else ApplicationKilled(text, app_id=app_id)

    def _fate(self) -> str:
        return "goes on" if self.on_kill_action == "keep" else "was killed"

    def _end(self, app_id: str, conn: Knit | None) -> None:
        if self.on_kill_action == "keep" or conn is None:
            self.log.info("%s goes on; `knit kill %s` ends it", app_id, app_id)
            return
        began = time.monotonic()
        try:
            killed = conn.yarn_api.kill(app_id, timeout=KILL_SECONDS, diagnostics="Airflow stopped the task")
        except KnitError as e:
            self.log.log(logging.WARNING, "%s could not be killed: %s", app_id, e)
        else:
            outcome = "was killed" if killed else "did not end as killed"
            self.log.info("%s %s within %.1f s", app_id, outcome, time.monotonic() - began)

    def _check(self) -> None:
        check_watching(self)

    def _opened(self, hook: KnitHook) -> None:
        # A handle of its own, with a session that is not in use at the moment when on_kill interrupts the rest.
        self._killer = hook.new_conn()

    def _patience(self) -> Patience:
        pending = self.pending_timeout
        return Patience(
            seconds(self.poll_interval, "poll_interval"),
            seconds(self.poll_retry_timeout, "poll_retry_timeout"),
            None if pending is None else seconds(pending, "pending_timeout"),
        )

    def _deadline(self, context: Mapping[str, Any]) -> float | None:
        """When ``execution_timeout`` is over, counted from the try's beginning, deferrals included."""
        if self.execution_timeout is None:
            return None
        return float((_began(context) + self.execution_timeout).timestamp())


def _has_ended(app: Application) -> bool:
    try:
        return app.report().terminal
    except ClusterUnavailable:
        return False


def _tidied(app: Application) -> None:
    """Look at an application that was killed: whoever sees its end removes what it left in HDFS."""
    with suppress(KnitError):
        app.report()


def _began(context: Mapping[str, Any]) -> datetime:
    began = getattr(context.get("ti"), "start_date", None)
    return began if isinstance(began, datetime) else datetime.now(UTC)


def error_of(event: Mapping[str, Any]) -> KnitError:
    """The error that a trigger met, which cannot be stored as it is."""
    kind = getattr(errors, str(event.get("error")), KnitError)
    message = str(event.get("message"))
    return kind(message) if isinstance(kind, type) and issubclass(kind, KnitError) else KnitError(message)
