"""``YarnJob``: a job on YARN as a block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from prefect.blocks.abstract import JobBlock
from pydantic import ConfigDict, Field, ValidationError, field_validator

from knit_provider.prefect.caller import Caller, current_caller
from knit_provider.prefect.credentials import YarnCredentials, block_of
from knit_provider.prefect.job_run import ON_KILL, YarnJobRun
from knit_provider.prefect.looks import LOGO
from knit_provider.yarn.threads import begin

if TYPE_CHECKING:
    from knit_provider.prefect.start import Started
    from knit_provider.yarn.spec import ApplicationSpec

# What a job may live beyond the run's own time, which is a safety net for when nobody is left to kill it.
LIFETIME_MARGIN = 600
# Fields whose values are in no error.
_SECRET = ("credentials", "envvars")


class _Handover:
    """A run that one thread starts and a coroutine waits for; if that is cancelled, the run is ended, by either."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: YarnJobRun | None = None
        self._refused = False

    def give(self, trigger: Callable[[], YarnJobRun]) -> YarnJobRun:
        run = trigger()
        with self._lock:
            self._given, refused = run, self._refused
        if refused:
            self._end(run)
        return run

    def refuse(self) -> None:
        with self._lock:
            self._refused, run = True, self._given
        if run is not None:
            self._end(run)

    @staticmethod
    def _end(run: YarnJobRun) -> None:
        run.end("its run was ended while it was submitted")


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

    # An error would print the credentials and environment variables that it was given.
    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "YARN Job"
    _block_type_slug = "yarn-job"
    _logo_url = LOGO
    _description = "A command in containers on Hadoop YARN."

    credentials: YarnCredentials | None = Field(
        default=None,
        title="Credentials",
        description="The cluster; without one, what the process's own Hadoop configuration says.",
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
    envvars: dict[str, str] = Field(
        default_factory=dict, title="Environment variables", description="Of the containers."
    )
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
        handover = _Handover()
        try:
            # Nothing holds off asyncio's own cancellation (`asyncio.timeout`, a TaskGroup); the thread goes on then.
            with anyio.CancelScope(shield=True):
                run = await anyio.to_thread.run_sync(partial(handover.give, self.trigger))
            await anyio.lowlevel.checkpoint()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await asyncio.wrap_future(begin(handover.refuse, "knit-end"))
            raise
        return run

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


def job_of(credentials: YarnCredentials | str | None, **fields: Any) -> YarnJob:
    """A job out of the arguments of a task or a flow, of which None takes the field's default.

    Raises:
        ConfigurationError: naming the argument and its value.
    """
    from knit_provider.yarn.errors import ConfigurationError

    given = {name: value for name, value in fields.items() if value is not None}
    for name, kind in (("envvars", dict), ("container_resources", dict), ("tags", list)):
        if name in given and not isinstance(given[name], str):
            given[name] = kind(given[name])
    try:
        return YarnJob(credentials=block_of(credentials), **given)
    except ValidationError as e:
        first = e.errors()[0]
        field = first["loc"][0] if first["loc"] else ""
        secret = field in _SECRET
        where = ".".join(str(part) for part in (first["loc"] if secret else first["loc"][:1]))
        given_value = "" if secret else f" (it is {first.get('input')!r})"
        raise ConfigurationError(f"{where}: {first['msg']}{given_value}") from None
