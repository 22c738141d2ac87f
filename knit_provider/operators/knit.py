"""``KnitStartOperator``: an application on YARN as an Airflow task."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import BaseOperator

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.arguments import application_spec, seconds, whole
from knit_provider.operators.environments import KnitEnvOperator as KnitEnvOperator
from knit_provider.operators.identity import Action, ApplicationStore, decide, task_tag
from knit_provider.yarn.errors import (
    ApplicationFailed,
    ApplicationKilled,
    ApplicationNotFound,
    AuthenticationFailed,
    CheckFailed,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.report import ApplicationReport

if TYPE_CHECKING:
    from knit_provider.operators.task_log import TaskLog
    from knit_provider.operators.watch import Watch
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.spec import ApplicationSpec

# Trying again cannot mend these.
PERMANENT = (ConfigurationError, CheckFailed, AuthenticationFailed, PermissionDenied)
# After SIGTERM Airflow leaves a task 5 s.
KILL_SECONDS = 3.0
REPLACE_SECONDS = 60.0
# What a job may live beyond the task's own time, which is a safety net for when nobody is left to kill it.
LIFETIME_MARGIN = 600
_CONTAINER_ID = re.compile(r"container_[a-z0-9_]+")


class KnitStartOperator(BaseOperator):
    """Starts a command in containers on YARN, waits for the end and writes the containers' logs into the task's log.

    The application id is stored before anything is submitted. A try that finds the application of an earlier one (its
    worker died) goes on with it, so no job is ever submitted twice; this needs the task state store of Airflow 3.3.

    All fields that describe the job may be templates; they are checked when the task runs.

    Args:
        command: a shell command, or a list of arguments that no shell touches.
        app_name: name shown in YARN (default ``<dag id>.<task id>``).
        num_containers: how many containers run the command (default 1).
        virtual_cores: of each container (default 1).
        memory: of each container: MiB, or with a suffix such as ``"2 GiB"`` (default 128).
        env: a packed Python environment: a path or ``hdfs://`` URI of an archive, or ``python:///path`` of an
            interpreter that is on every node.
        envvars: environment variables of the containers.
        files: local paths or URIs for each container's working directory: a list, or a mapping of name there to source.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``); None uses the worker's own configuration.
        yarn_queue: YARN queue (default the connection's, else ``default``).
        container_resources: further resources of each container, such as ``{"yarn.io/gpu": 1}``.
        tags: at most 8 further tags of the application.
        max_restarts: how many failed containers are replaced before the application fails (default 0); -1: all.
        allow_failures: containers may fail without failing the application (default False).
        lifetime: seconds, or text such as ``"2 h"``, after which YARN itself ends the application. Default: what is
            left of ``execution_timeout`` and 10 minutes more; without a timeout, 7 days.
        max_attempts: attempts of the ApplicationMaster (default 1).
        wait_for_completion: wait for the end (default True), else return once YARN has accepted the application.
        poll_interval: longest time between two looks at the application, in seconds (default 10); it is looked at more
            often while it is young.
        get_logs: write the containers' logs into the task's log (default True).
        log_tail_lines: lines of the failing container's stderr in the error (default 20).
        on_kill_action: what happens to the application when the task is killed or its worker stopped: ``"kill"``
            (default) or ``"keep"``.

    Returns:
        The YARN application id. The XComs ``app_id``, ``tracking_url`` and, after a wait, ``final_status`` tell more.

    Example:
        >>> KnitStartOperator(task_id="count", command="python3 count.py", files=["count.py"], num_containers=4)
    """

    template_fields: Sequence[str] = (
        "command",
        "app_name",
        "num_containers",
        "virtual_cores",
        "memory",
        "env",
        "envvars",
        "files",
        "yarn_conn_id",
        "yarn_queue",
        "container_resources",
        "tags",
        "lifetime",
    )
    template_fields_renderers = {  # noqa: RUF012 - a class attribute of Airflow's own
        "command": "bash",
        "envvars": "json",
        "files": "json",
        "container_resources": "json",
    }
    ui_color = "#f4e9b8"

    def __init__(
        self,
        *,
        command: str | Sequence[str],
        app_name: str | None = None,
        num_containers: int | str = 1,
        virtual_cores: int | str = 1,
        memory: int | str = 128,
        env: str | None = None,
        envvars: Mapping[str, str] | None = None,
        files: Sequence[str] | Mapping[str, str] | None = None,
        yarn_conn_id: str | None = KnitHook.default_conn_name,
        yarn_queue: str | None = None,
        container_resources: Mapping[str, int | str] | None = None,
        tags: Sequence[str] | None = None,
        max_restarts: int = 0,
        allow_failures: bool = False,
        lifetime: float | str | None = None,
        max_attempts: int = 1,
        wait_for_completion: bool = True,
        poll_interval: float = 10.0,
        get_logs: bool = True,
        log_tail_lines: int = 20,
        on_kill_action: str = "kill",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.app_name = app_name
        self.num_containers = num_containers
        self.virtual_cores = virtual_cores
        self.memory = memory
        self.env = env
        self.envvars = envvars
        self.files = files
        self.yarn_conn_id = yarn_conn_id
        self.yarn_queue = yarn_queue
        self.container_resources = container_resources
        self.tags = tags
        self.max_restarts = max_restarts
        self.allow_failures = allow_failures
        self.lifetime = lifetime
        self.max_attempts = max_attempts
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.get_logs = get_logs
        self.log_tail_lines = log_tail_lines
        self.on_kill_action = on_kill_action
        self._app_id: str | None = None
        self._killer: Knit | None = None
        self._watch: Watch | None = None
        self._lines: TaskLog | None = None
        self._stopping = False

    def execute(self, context: Mapping[str, Any]) -> str:
        """Start the application, or go on with the one of an earlier try.

        Raises:
            AirflowFailException: for what no retry can mend.
            ApplicationFailed: the application did not succeed.
        """
        try:
            return self._execute(context)
        except PERMANENT as e:
            raise AirflowFailException(str(e)) from e

    def on_kill(self) -> None:
        """End the application by one REST call; Airflow's SIGTERM handler runs this in the midst of ``execute``."""
        self._stopping = True
        try:
            if self._app_id is not None and self._killer is not None:
                self._end(self._app_id, self._killer)
        finally:
            if self._watch is not None:
                self._watch.wake()

    # -- starting -----------------------------------------------------------------------------------------------

    def _execute(self, context: Mapping[str, Any]) -> str:
        hook = KnitHook(self.yarn_conn_id)
        store = ApplicationStore(context)
        spec = application_spec(
            self, context, queue=hook.queue, tag=task_tag(context), lifetime=self._lifetime(context)
        )
        # A handle of its own, with a session that is not in use at the moment when on_kill interrupts execute.
        self._killer = hook.new_conn()
        with hook.get_conn() as conn:
            app, attached = self._start(conn, hook, spec, store, context)
            if not self.wait_for_completion:
                self.log.info("%s was accepted; not waiting for its end", app.id)
                return app.id
            report = self._follow(app)
            if attached and report.killed and not report.timed_out:
                # This try found it just before the kill that ended the previous try landed.
                self.log.info("%s was killed after this try had found it; starting anew", app.id)
                app = self._submit(conn, hook, spec, store, context)
                report = self._follow(app)
            self._push(context, "final_status", report.final_status)
            if not report.succeeded:
                raise self._failure(app, report)
            self.log.info("%s succeeded", app.id)
            return app.id

    def _start(
        self, conn: Knit, hook: KnitHook, spec: ApplicationSpec, store: ApplicationStore, context: Mapping[str, Any]
    ) -> tuple[Application, bool]:
        """The application to follow, and whether it is that of an earlier try."""
        stored = store.load()
        if stored is None:
            if not store.available:
                self.log.debug("There is no task state store here; a try cannot find the application of an earlier one")
            return self._submit(conn, hook, spec, store, context), False
        report = _report_or_none(conn, stored.app_id)
        action = decide(stored, report, store.max_tries)
        self.log.info("%s is of an earlier try; %s", stored.app_id, action.value)
        if action is Action.UNKNOWN:
            raise AirflowFailException(
                f"{stored.app_id} was started by an earlier try; the ResourceManager has forgotten it and the ledger "
                "holds no outcome, so whether it succeeded is unknown. Clear the task to start it anew"
            )
        if action in (Action.ATTACH, Action.FINISH):
            self._found(hook, stored.app_id, context)
            return conn.attach(stored.app_id), True
        if action is Action.REPLACE and not conn.application(stored.app_id).kill(
            "its task was cleared", timeout=REPLACE_SECONDS
        ):
            again = conn.application(stored.app_id).report()
            if not again.terminal:
                raise KnitError(f"{stored.app_id} does not end, so no second one is started; it is {again.state}")
        app_id = stored.app_id if action is Action.SUBMIT_STORED else None
        return self._submit(conn, hook, spec, store, context, app_id), False

    def _submit(
        self,
        conn: Knit,
        hook: KnitHook,
        spec: ApplicationSpec,
        store: ApplicationStore,
        context: Mapping[str, Any],
        app_id: str | None = None,
    ) -> Application:
        app_id = app_id or conn.new_application()
        # From here on every try knows the id; YARN runs it once at most, however often it is submitted.
        store.save(app_id)
        self._found(hook, app_id, context)
        self.log.info("Submitting %s (%s) to queue %s", app_id, spec.name, spec.queue)
        conn.submit(spec, app_id=app_id, bound=False)
        if self._stopping:
            # on_kill came before there was anything to kill.
            self._end(app_id, conn)
            raise ApplicationKilled(f"{app_id}: the task was stopped while it was submitted", app_id=app_id)
        return conn.application(app_id)

    def _found(self, hook: KnitHook, app_id: str, context: Mapping[str, Any]) -> None:
        self._app_id = app_id
        url = hook.tracking_url(app_id)
        self._push(context, "app_id", app_id)
        self._push(context, "tracking_url", url)
        self.log.info("%s: %s", app_id, url)

    def _lifetime(self, context: Mapping[str, Any]) -> float | str | None:
        """What the user said; else by the task's timeout; None takes the spec's default."""
        if self.lifetime is not None or self.execution_timeout is None:
            return self.lifetime
        began = getattr(context.get("ti"), "start_date", None) or datetime.now(timezone.utc)
        left: timedelta = self.execution_timeout - (datetime.now(timezone.utc) - began)
        return int(max(0.0, left.total_seconds())) + LIFETIME_MARGIN

    # -- following ----------------------------------------------------------------------------------------------

    def _follow(self, app: Application) -> ApplicationReport:
        from knit_provider.operators.task_log import TaskLog
        from knit_provider.operators.watch import Watch, Woken
        from knit_provider.yarn.logs.chunk import LogChunk

        interval = seconds(self.poll_interval, "poll_interval")
        lines = self._lines = TaskLog(self.log.info, tail_lines=whole(self.log_tail_lines, "log_tail_lines"))
        self._watch = Watch(app, poll_interval=interval, logs=self.get_logs)
        report = None
        try:
            for event in self._watch.events():
                if isinstance(event, LogChunk):
                    lines.add(event)
                elif isinstance(event, Woken) or self._stopping:
                    fate = "goes on" if self.on_kill_action == "keep" else "was killed"
                    raise ApplicationKilled(f"the task was stopped; {app.id} {fate}", app_id=app.id)
                elif isinstance(event, ApplicationReport):
                    report = event
                    lines.say(f"{app.id} is {report.state}")
                else:
                    lines.say(f"{app.id}: {event}")
        finally:
            lines.close()
        if report is None or not report.terminal:
            raise AirflowFailException(
                f"{app.id}: the ResourceManager has forgotten it and the ledger holds no outcome, so how it ended is "
                "unknown. Clear the task to start it anew"
            )
        return report

    def _failure(self, app: Application, report: ApplicationReport) -> ApplicationFailed:
        """The application's failure with the failing container's last words, as far as YARN's text lacks them."""
        error = app.failure(report)
        found = _CONTAINER_ID.search(report.diagnostics)
        tail = self._lines.tail(found.group()) if found and self._lines else []
        if not tail or tail[-1] in report.diagnostics:
            return error
        text = f"{error}\nLast lines of stderr of {found.group() if found else ''}:\n" + "\n".join(tail)
        return type(error)(text, app_id=error.app_id, exit_code=error.exit_code, report=error.report)

    def _end(self, app_id: str, conn: Knit) -> None:
        if self.on_kill_action == "keep":
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

    def _push(self, context: Mapping[str, Any], key: str, value: str) -> None:
        ti = context.get("ti")
        if ti is not None and self.do_xcom_push:
            ti.xcom_push(key=key, value=value)


def _report_or_none(conn: Knit, app_id: str) -> ApplicationReport | None:
    try:
        return conn.application(app_id).report()
    except ApplicationNotFound:
        return None
