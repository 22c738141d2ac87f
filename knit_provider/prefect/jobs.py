"""``YarnJob``: a job on YARN as a block, and ``YarnJobRun``: one application of it."""

from __future__ import annotations

import logging
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from prefect.blocks.abstract import JobBlock, JobRun
from pydantic import Field, field_validator

from knit_provider.prefect.caller import Caller, current_caller
from knit_provider.prefect.credentials import YarnCredentials, block_of, client_of
from knit_provider.prefect.looks import LOGO

if TYPE_CHECKING:
    from knit_provider.prefect.page import RunPage
    from knit_provider.prefect.run_log import RunLog
    from knit_provider.prefect.start import Started
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.errors import ApplicationFailed
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport
    from knit_provider.yarn.spec import ApplicationSpec

ON_KILL = ("kill", "keep")
KILL_SECONDS = 10.0
# What a job may live beyond the run's own time, which is a safety net for when nobody is left to kill it.
LIFETIME_MARGIN = 600
_CONTAINER_ID = re.compile(r"container_[a-z0-9_]+")


class YarnJob(JobBlock):
    """A command in containers on YARN.

    Attributes:
        credentials: the cluster; None uses what the process's own Hadoop configuration says.
        command: a shell command, or a list of arguments that no shell touches.
        app_name: name shown in YARN (default ``<flow>.<task>``, outside of a run ``knit``).
        num_containers: how many containers run the command (default 1).
        virtual_cores: of each container (default 1).
        memory: of each container: MiB, or with a suffix such as ``"2 GiB"`` (default 128).
        env: a packed Python environment: a path or ``hdfs://`` URI of an archive, or ``python:///path`` of an
            interpreter that is on every node.
        envvars: environment variables of the containers.
        files: local paths or URIs for each container's working directory: a list, or a mapping of name there to source.
        yarn_queue: YARN queue (default the credentials', else ``default``).
        container_resources: further resources of each container, such as ``{"yarn.io/gpu": 1}``.
        tags: at most 3 further tags of the application.
        max_restarts: how many failed containers are replaced before the application fails (default 0); -1: all.
        allow_failures: containers may fail without failing the application (default False).
        lifetime: seconds, or text such as ``"2 h"``, after which YARN itself ends the application. Default: the time
            that ``timeout_seconds`` or the run's own timeout leaves, and 10 minutes more; without any, 7 days.
        max_attempts: attempts of the ApplicationMaster (default 1).
        timeout_seconds: a wait that takes longer kills the application; None (default) waits to the end.
        poll_interval_seconds: longest time between two looks at the application (default 10).
        get_logs: write the containers' logs into the run's log (default True).
        log_tail_lines: lines of the failing container's stderr in the error and the summary (default 20).
        on_kill_action: what happens to the application when the run that waits for it is cancelled, crashes or times
            out: ``"kill"`` (default) or ``"keep"``.
        reattach: a retry goes on with the application of an earlier try (default True); False ends that first.

    Example:
        >>> job = YarnJob(credentials=YarnCredentials.load("production"), command="python3 score.py", num_containers=4)
        >>> run = job.trigger()
        >>> run.wait_for_completion()
        'SUCCEEDED'
    """

    _block_type_name = "YARN Job"
    _block_type_slug = "yarn-job"
    _logo_url = LOGO
    _description = "A command in containers on Hadoop YARN."

    credentials: YarnCredentials | None = Field(
        default=None, description="The cluster; without one, what the process's own Hadoop configuration says."
    )
    command: str | list[str] = Field(description="A shell command, or a list of arguments that no shell touches.")
    app_name: str | None = Field(default=None, title="Name", description="Shown in YARN; default flow and task.")
    num_containers: int = Field(default=1, ge=0, title="Containers", description="How many run the command.")
    virtual_cores: int = Field(default=1, ge=1, description="Of each container.")
    memory: int | str = Field(default=128, description="Of each container: MiB, or text such as 2 GiB.")
    env: str | None = Field(
        default=None,
        title="Python environment",
        description="Archive of a packed environment (path or URI), or python:///path of an interpreter on every node.",
    )
    envvars: dict[str, str] = Field(default_factory=dict, title="Environment variables")
    files: list[str] | dict[str, str] = Field(
        default_factory=list, description="Paths or URIs for the containers: a list, or name there to source."
    )
    yarn_queue: str | None = Field(default=None, title="Queue", description="Default: the credentials'.")
    container_resources: dict[str, int] = Field(
        default_factory=dict, title="Further resources", description="Such as yarn.io/gpu: 1."
    )
    tags: list[str] = Field(default_factory=list, max_length=3, description="Further tags of the application.")
    max_restarts: int = Field(default=0, ge=-1, description="Failed containers that are replaced; -1: all.")
    allow_failures: bool = Field(default=False, description="Containers may fail without failing the application.")
    lifetime: int | str | None = Field(
        default=None, description="After which YARN ends the application: seconds, or text such as 2 h."
    )
    max_attempts: int = Field(default=1, ge=1, description="Attempts of the ApplicationMaster.")
    timeout_seconds: float | None = Field(
        default=None, gt=0, title="Timeout", description="A wait that takes longer kills the application. In seconds."
    )
    poll_interval_seconds: float = Field(
        default=10.0, ge=0.1, title="Poll interval", description="Longest time between two looks, in seconds."
    )
    get_logs: bool = Field(default=True, description="Write the containers' logs into the run's log.")
    log_tail_lines: int = Field(default=20, ge=0, description="Lines of stderr in the error and the summary.")
    on_kill_action: str = Field(
        default="kill", description="What a cancelled, crashed or timed out wait does to the application: kill or keep."
    )
    reattach: bool = Field(default=True, description="A retry goes on with the application of an earlier try.")

    @field_validator("command")
    @classmethod
    def _some_command(cls, value: str | list[str]) -> str | list[str]:
        if not value or (isinstance(value, str) and not value.strip()):
            raise ValueError(f"command={value!r} is empty; give a shell command or a list of arguments")
        return value

    @field_validator("env", mode="before")
    @classmethod
    def _packed(cls, value: Any) -> Any:
        if isinstance(value, dict):
            raise ValueError(
                "env is the packed Python environment (a path or URI); environment variables go into envvars"
            )
        return value

    @field_validator("on_kill_action")
    @classmethod
    def _known_action(cls, value: str) -> str:
        if value not in ON_KILL:
            raise ValueError(f"on_kill_action={value!r}; use one of {', '.join(ON_KILL)}")
        return value

    def trigger(self) -> YarnJobRun:
        """Start the job, or go on with the application that an earlier try of this call started.

        Returns:
            The run; it holds no connection, so it can be a task's result.

        Raises:
            CheckFailed, SubmissionRejected: the cluster refuses it.
            prefect.exceptions.CancelledRun: the flow run was cancelled meanwhile.
        """
        from knit_provider.prefect.page import RunPage
        from knit_provider.prefect.start import start

        caller = current_caller()
        credentials = self.credentials or YarnCredentials()
        spec = self.spec(caller)
        with credentials.get_client() as knit, RunPage(caller, spec.name, self.logger) as page:
            started = start(knit, spec, caller, page, self.logger, reattach=self.reattach)
        return self._run_of(started, spec.name)

    async def atrigger(self) -> YarnJobRun:
        """As :meth:`trigger`, without blocking the event loop.

        An application that was submitted while this call was cancelled is killed.
        """
        triggered: list[YarnJobRun] = []
        try:
            with anyio.CancelScope(shield=True):
                triggered.append(await anyio.to_thread.run_sync(self.trigger))
            await anyio.lowlevel.checkpoint()
        except BaseException:
            with anyio.CancelScope(shield=True):
                for run in triggered:
                    await anyio.to_thread.run_sync(partial(run._end, "its run was ended while it was submitted"))
            raise
        return triggered[0]

    def spec(self, caller: Caller | None = None) -> ApplicationSpec:
        """The job as an application of one service.

        Args:
            caller: the run it is for, which gives the default name and lifetime.

        Raises:
            ConfigurationError: naming the field and its value.
        """
        from knit_provider.yarn.knit import DEFAULT_SERVICE
        from knit_provider.yarn.spec import ApplicationSpec, Resources, Service
        from knit_provider.yarn.units import parse_memory

        caller = caller or Caller()
        plain = isinstance(self.command, str)
        service = Service(
            instances=self.num_containers,
            resources=Resources.of(
                parse_memory(self.memory, "memory"), self.virtual_cores, self.container_resources or None
            ),
            script=str(self.command) if plain else "",
            argv=() if plain else tuple(self.command),
            env=self.env or None,
            envvars=self.envvars,
            files=self.files or {},
            max_restarts=self.max_restarts,
            allow_failures=self.allow_failures,
        )
        lifetime = self._lifetime(caller)
        further: dict[str, Any] = {} if lifetime is None else {"lifetime": lifetime}
        return ApplicationSpec(
            name=self.app_name or caller.name or "knit",
            queue=self.yarn_queue or (self.credentials.queue if self.credentials else None) or "default",
            services={DEFAULT_SERVICE: service},
            tags=tuple(self.tags),
            max_attempts=self.max_attempts,
            **further,
        )

    def _lifetime(self, caller: Caller) -> int | str | None:
        if self.lifetime is not None:
            return self.lifetime
        limits = [limit for limit in (self.timeout_seconds, caller.seconds_left) if limit is not None]
        return int(min(limits)) + LIFETIME_MARGIN if limits else None

    def _run_of(self, started: Started, app_name: str) -> YarnJobRun:
        return YarnJobRun(
            self.credentials,
            started.app_id,
            app_name=app_name,
            url=started.url,
            timeout_seconds=self.timeout_seconds,
            poll_interval_seconds=self.poll_interval_seconds,
            get_logs=self.get_logs,
            log_tail_lines=self.log_tail_lines,
            on_kill_action=self.on_kill_action,
        )


class YarnJobRun(JobRun[Any]):
    """One application, by its id: any YARN application, whoever started it.

    It holds no connection and can be pickled.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        app_id: YARN application id.
        app_name: its name, for the artifacts.
        url: its page in the ResourceManager's web interface.
        timeout_seconds, poll_interval_seconds, get_logs, log_tail_lines, on_kill_action: as of :class:`YarnJob`.

    Attributes:
        app_id: YARN application id.
        tracking_url: its page in the ResourceManager's web interface.
    """

    def __init__(
        self,
        credentials: YarnCredentials | str | None,
        app_id: str,
        *,
        app_name: str = "",
        url: str = "",
        timeout_seconds: float | None = None,
        poll_interval_seconds: float = 10.0,
        get_logs: bool = True,
        log_tail_lines: int = 20,
        on_kill_action: str = "kill",
    ) -> None:
        from knit_provider.yarn.errors import ConfigurationError
        from knit_provider.yarn.rest.shapes import check_app_id
        from knit_provider.yarn.units import check_int, check_seconds

        if on_kill_action not in ON_KILL:
            raise ConfigurationError(f"on_kill_action={on_kill_action!r}; use one of {', '.join(ON_KILL)}")
        self.credentials = block_of(credentials)
        self.app_id = check_app_id(app_id)
        self.tracking_url = url
        self.app_name = app_name or app_id
        self.timeout_seconds = None if timeout_seconds is None else check_seconds(timeout_seconds, "timeout_seconds")
        self.poll_interval_seconds = check_seconds(poll_interval_seconds, "poll_interval_seconds", minimum=0.1)
        self.get_logs = get_logs
        self.log_tail_lines = check_int(log_tail_lines, "log_tail_lines", minimum=0)
        self.on_kill_action = on_kill_action

    def __repr__(self) -> str:
        return f"<YarnJobRun {self.app_id}>"

    def wait_for_completion(self) -> str:
        """Wait for the end, with the application's logs in the run's log and its progress in an artifact.

        Whatever ends the wait early (a timeout, the run's cancellation, an error) kills the application, unless
        ``on_kill_action`` is ``"keep"``.

        Returns:
            YARN's final status, ``"SUCCEEDED"``.

        Raises:
            ApplicationFailed: it failed; the message has the diagnostics and the failing container's last words.
            ApplicationKilled: it was killed.
            WaitTimeout: after ``timeout_seconds``.
            ApplicationNotFound: nobody knows the outcome any more.
        """
        return self._wait(threading.Event())

    async def await_for_completion(self) -> str:
        """As :meth:`wait_for_completion`, without blocking the event loop; its cancellation kills the application."""
        stop = threading.Event()
        try:
            # A limiter of its own: waits are long, and the default one has 40 threads for everybody.
            return await anyio.to_thread.run_sync(
                partial(self._wait, stop), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        except anyio.get_cancelled_exc_class():
            stop.set()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(self._end, "the run that waited was cancelled"))
            raise

    def fetch_result(self) -> Any:
        """What the containers wrote to ``$KNIT_RESULT``: the value of one, a list by index of several, or None.

        Raises:
            KnitError: a container wrote something that is not JSON, or more than 48 KiB.
        """
        with self._client() as knit:
            return knit.application(self.app_id).result()

    async def afetch_result(self) -> Any:
        """As :meth:`fetch_result`, without blocking the event loop."""
        return await anyio.to_thread.run_sync(self.fetch_result)

    def kill(self, diagnostics: str = "killed by a Prefect flow") -> bool:
        """Kill the application; waits up to 10 s.

        Args:
            diagnostics: why, for the application's report.

        Returns:
            True only if its state is KILLED.
        """
        with self._client() as knit:
            return knit.application(self.app_id).kill(diagnostics, timeout=KILL_SECONDS)

    async def akill(self, diagnostics: str = "killed by a Prefect flow") -> bool:
        """As :meth:`kill`, without blocking the event loop."""
        return await anyio.to_thread.run_sync(partial(self.kill, diagnostics))

    def logs(self) -> dict[str, dict[str, Any]]:
        """The logs of all containers, the ApplicationMaster's included, by container id and file name."""
        with self._client() as knit:
            return knit.application(self.app_id).logs()

    async def alogs(self) -> dict[str, dict[str, Any]]:
        """As :meth:`logs`, without blocking the event loop."""
        return await anyio.to_thread.run_sync(self.logs)

    # -- inside -------------------------------------------------------------------------------------------------

    def _client(self) -> Knit:
        return client_of(self.credentials)

    def _wait(self, stop: threading.Event) -> str:
        from knit_provider.prefect.following import Follower
        from knit_provider.prefect.page import RunPage
        from knit_provider.prefect.run_log import RunLog
        from knit_provider.prefect.watching import Watching

        logger = self.logger
        lines = RunLog(logger, tail_lines=self.log_tail_lines)
        with self._client() as knit, RunPage(current_caller(starts=False), self.app_name, logger) as page:
            app = knit.application(self.app_id)
            watching = Watching(self.app_id, page, logger, stop, kill=lambda why: self._kill_now(app, why, logger))
            follower = Follower(
                app,
                poll_interval=self.poll_interval_seconds,
                lines=lines if self.get_logs else None,
                trouble=logger.warning,
            )
            try:
                report = follower.run(self.timeout_seconds, watching.look)
            except BaseException as e:
                self._kill_now(app, f"the run that waited ended: {type(e).__name__}: {e}", logger)
                raise
            finally:
                lines.close()
            return self._finish(app, report, lines, page, logger)

    def _finish(
        self,
        app: Application,
        report: ApplicationReport,
        lines: RunLog,
        page: RunPage,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> str:
        found = _CONTAINER_ID.search(report.diagnostics)
        tail = [] if report.succeeded else lines.tail(found.group() if found else None)
        page.show_summary(report, self.tracking_url, _containers(app), tail)
        if not report.succeeded:
            raise _with_tail(app.failure(report), report, tail)
        logger.info("%s succeeded", app.id)
        return report.final_status

    def _kill_now(
        self, app: Application, why: str, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        from knit_provider.yarn.errors import KnitError

        if self.on_kill_action == "keep":
            logger.info("%s goes on; `knit kill %s` ends it", app.id, app.id)
            return
        try:
            killed = app.kill(why[:1000], timeout=KILL_SECONDS)
        except KnitError as e:
            logger.warning("%s could not be killed: %s", app.id, e)
        else:
            logger.info("%s %s: %s", app.id, "was killed" if killed else "did not end as killed", why)

    def _end(self, why: str) -> None:
        with self._client() as knit:
            self._kill_now(knit.application(self.app_id), why, self.logger)


def _containers(app: Application) -> list[dict[str, Any]]:
    """What the ledger knows of the containers of an application that has ended; nothing for one of another type."""
    from knit_provider.yarn.errors import KnitError

    try:
        entry = app.ledger()
    except KnitError:
        return []
    if entry is None or entry.outcome is None:
        return []
    return [vars(container) for container in entry.outcome.containers]


def _with_tail(error: ApplicationFailed, report: ApplicationReport, tail: list[str]) -> ApplicationFailed:
    """The failure with the failing container's last words, as far as YARN's text lacks them."""
    if not tail or tail[-1] in report.diagnostics:
        return error
    text = f"{error}\nLast lines of stderr:\n" + "\n".join(tail)
    return type(error)(text, app_id=error.app_id, exit_code=error.exit_code, report=error.report)
