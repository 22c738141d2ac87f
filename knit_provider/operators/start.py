"""``KnitStartOperator``: an application on YARN as an Airflow task."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.application import unknown_fate
from knit_provider.operators.arguments import application_spec
from knit_provider.operators.identity import Action, ApplicationStore, decide, task_tag
from knit_provider.operators.watching import WatchingOperator
from knit_provider.yarn.errors import ApplicationKilled, KnitError

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport
    from knit_provider.yarn.spec import ApplicationSpec

# What a job may live beyond the task's own time, which is a safety net for when nobody is left to kill it.
LIFETIME_MARGIN = 600


class KnitStartOperator(WatchingOperator):
    """Starts a command in containers on YARN, waits for the end and writes the containers' logs into the task's log.

    The application id is stored before anything is submitted. A try that finds the application of an earlier one (its
    worker or triggerer died) goes on with it, so no job is ever submitted twice. Airflow 3.3 and newer have a store for
    that; below, applications are found again by a tag, where the connection names this Airflow (extra ``deployment``).

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
        deferrable: wait in the triggerer, without a worker (default: Airflow's ``operators.default_deferrable``).
        poll_interval: longest time between two looks at the application, in seconds (default 10); it is looked at more
            often while it is young.
        poll_retry_timeout: seconds in a row for which the cluster may be away while the task waits (default 300).
        pending_timeout: seconds that the application may wait for its first container before the task fails and ends
            it; default any time.
        get_logs: write the containers' logs into the task's log (default True).
        logging_interval: with ``deferrable``, seconds between two visits of a worker to write what the logs have by
            then; default once, at the end.
        log_tail_lines: lines of the failing container's stderr in the error (default 20).
        log_max_bytes: how much of the containers' logs goes into the task's log (default 64 MiB).
        skip_on_exit_code: exit code, or several, of the first failing container that skip the task.
        on_kill_action: what happens to the application when the task is ended, times out or its worker is stopped:
            ``"kill"`` (default) or ``"keep"``.
        force_rerun: start anew even where an earlier try's application has succeeded (default False). One that still
            runs is gone on with all the same.

    Returns:
        The YARN application id. The XComs ``app_id``, ``tracking_url``, after a wait ``final_status`` and, where
        containers wrote JSON to ``$KNIT_RESULT``, ``result`` (the value of one container, or a list by ``KNIT_INDEX``)
        tell more.

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
        yarn_queue: str | None = None,
        container_resources: Mapping[str, int | str] | None = None,
        tags: Sequence[str] | None = None,
        max_restarts: int = 0,
        allow_failures: bool = False,
        lifetime: float | str | None = None,
        max_attempts: int = 1,
        wait_for_completion: bool = True,
        force_rerun: bool = False,
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
        self.yarn_queue = yarn_queue
        self.container_resources = container_resources
        self.tags = tags
        self.max_restarts = max_restarts
        self.allow_failures = allow_failures
        self.lifetime = lifetime
        self.max_attempts = max_attempts
        self.wait_for_completion = wait_for_completion
        self.force_rerun = force_rerun

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Start the application, or go on with the one of an earlier try.

        Raises:
            AirflowFailException: for what no retry can mend.
            ApplicationFailed: the application did not succeed.
        """
        with self._connected() as (hook, conn):
            spec = self._spec(context, hook)
            app, attached = self._start(conn, hook, spec, context)
            if not self.wait_for_completion:
                self.log.info("%s was accepted; not waiting for its end", app.id)
                return app.id
            return self._wait(context, hook, conn, app, attached=attached)

    # -- starting -----------------------------------------------------------------------------------------------

    def _spec(self, context: Mapping[str, Any], hook: KnitHook) -> ApplicationSpec:
        return application_spec(
            self,
            context,
            queue=hook.queue,
            tag=task_tag(context, hook.deployment),
            lifetime=self._lifetime(context),
        )

    def _start(
        self, conn: Knit, hook: KnitHook, spec: ApplicationSpec, context: Mapping[str, Any]
    ) -> tuple[Application, bool]:
        """The application to follow, and whether it is that of an earlier try."""
        store = ApplicationStore(context)
        stored = self._earlier(conn, context)
        if stored is None:
            return self._submit(conn, hook, spec, context), False
        # Whoever ends this try from here on ends that one.
        self._app_id = stored.app_id
        if self._stopping:
            # on_kill came before there was anything to kill.
            self._end(stored.app_id, conn)
            raise ApplicationKilled(f"the task was stopped; {stored.app_id} {self._fate()}", app_id=stored.app_id)
        try:
            report = self._report_of(conn, stored.app_id)
        except KnitError as e:
            if not self._stopping:
                self._give_up(context, stored.app_id, e)
            raise
        action = decide(stored, report, cleared=store.cleared_since(stored), force_rerun=self.force_rerun)
        self.log.info("%s is of an earlier try; %s", stored.app_id, action.value)
        if action is Action.UNKNOWN:
            raise unknown_fate(stored.app_id)
        if action in (Action.ATTACH, Action.FINISH):
            self._found(hook, stored.app_id, context)
            return conn.attach(stored.app_id), True
        if action is Action.REPLACE:
            self._replace(conn, stored.app_id)
        app_id = stored.app_id if action is Action.SUBMIT_STORED else None
        return self._submit(conn, hook, spec, context, app_id), False

    def _submit(
        self,
        conn: Knit,
        hook: KnitHook,
        spec: ApplicationSpec,
        context: Mapping[str, Any],
        app_id: str | None = None,
    ) -> Application:
        app_id = app_id or conn.new_application()
        # From here on every try knows the id; YARN runs it once at most, however often it is submitted.
        ApplicationStore(context).save(app_id)
        self._found(hook, app_id, context)
        self.log.info("Submitting %s (%s) to queue %s", app_id, spec.name, spec.queue)
        conn.submit(spec, app_id=app_id, bound=False)
        self._lifetime_until = None if spec.lifetime is None else time.time() + spec.lifetime
        if self._stopping:
            # on_kill came before there was anything to kill.
            self._end(app_id, conn)
            raise ApplicationKilled(f"{app_id}: the task was stopped while it was submitted", app_id=app_id)
        return conn.application(app_id)

    def _start_anew(self, context: Mapping[str, Any], hook: KnitHook, conn: Knit) -> Application | None:
        self.log.info("%s was killed after this try had found it; starting anew", self._app_id)
        return self._submit(conn, hook, self._spec(context, hook), context)

    def _lifetime(self, context: Mapping[str, Any]) -> float | str | None:
        """What the user said; else by the task's timeout; None takes the spec's default."""
        if self.lifetime is not None or self.execution_timeout is None:
            return self.lifetime
        began = getattr(context.get("ti"), "start_date", None) or datetime.now(UTC)
        left: timedelta = self.execution_timeout - (datetime.now(UTC) - began)
        return int(max(0.0, left.total_seconds())) + LIFETIME_MARGIN

    # -- what a watch asks ----------------------------------------------------------------------------------------

    def _stored_id(self, context: Mapping[str, Any], conn: Knit) -> str | None:
        store = ApplicationStore(context)
        stored = store.load()
        if stored is not None:
            return stored.app_id
        ti = context.get("ti")
        if ti is None or store.available:
            return None
        # Below Airflow 3.3: XComs of this try are still there when a deferral has failed.
        pushed = ti.xcom_pull(task_ids=ti.task_id, key="app_id", map_indexes=ti.map_index)
        return str(pushed) if isinstance(pushed, str) else None

    def _next_try_finds_it(self, context: Mapping[str, Any]) -> bool:
        return self._findable(context)

    def _outcome(self, app: Application, report: ApplicationReport, result: Any) -> Any:
        return app.id
