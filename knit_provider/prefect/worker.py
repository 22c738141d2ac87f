"""A Prefect worker that runs each flow run in a container on YARN."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.states import Cancelled
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from pydantic import Field, field_validator

from knit_provider.prefect.credentials import YarnCredentials
from knit_provider.prefect.jobs import YarnJob
from knit_provider.prefect.looks import LOGO

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport

STATE_SECONDS = 5.0
KILL_SECONDS = 10.0
# A flow run takes Python with Prefect: less than this is killed by YARN before the flow begins.
FLOW_MEMORY = "1 GiB"


class YarnJobConfiguration(BaseJobConfiguration):
    """What one flow run's container is made of; the job template's variables with their values.

    ``env`` is Prefect's: environment variables. The packed Python environment is ``packed_env``.
    """

    credentials: YarnCredentials | None = None
    packed_env: str | None = None
    yarn_queue: str | None = None
    memory: int | str = FLOW_MEMORY
    virtual_cores: int = 1
    files: list[str] | dict[str, str] = Field(default_factory=list)
    container_resources: dict[str, int] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    lifetime: int | str | None = None
    stream_output: bool = True
    poll_interval_seconds: float = 5.0
    cancel_grace_seconds: float = 30.0

    @field_validator("files", "container_resources", "tags", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        # A variable without a value leaves None, or its own placeholder, in the template.
        return value if value is not None else ({} if info.field_name == "container_resources" else [])

    def prepare_for_flow_run(self, flow_run: FlowRun, *args: Any, **kwargs: Any) -> None:
        """Fill in what depends on the flow run: variables, labels, name and command.

        Called by Prefect before each run.
        """
        # With the environment's own interpreter: its scripts carry the path where they were made.
        python = '"$PYTHON_BIN"' if self.packed_env else "python3"
        self.command: str | None = self.command or f"exec {python} -m prefect flow-run execute"
        super().prepare_for_flow_run(flow_run, *args, **kwargs)

    def job(self, flow_run_id: object) -> YarnJob:
        """The container as a job of one."""
        return YarnJob(
            credentials=self.credentials,
            command=self.command or "",
            app_name=self.name or f"prefect-{flow_run_id}",
            env=self.packed_env,
            envvars={name: value for name, value in self.env.items() if value is not None},
            files=self.files,
            memory=self.memory,
            virtual_cores=self.virtual_cores,
            yarn_queue=self.yarn_queue,
            container_resources=self.container_resources,
            tags=[*self.tags, worker_tag(flow_run_id)],
            lifetime=self.lifetime,
        )


class YarnVariables(BaseVariables):
    """What a work pool and a deployment can set."""

    credentials: YarnCredentials | None = Field(
        default=None, description="The cluster; without one, what the worker's own Hadoop configuration says."
    )
    packed_env: str | None = Field(
        default=None,
        title="Python environment",
        description=(
            "Archive of a packed environment with Prefect in it (a path on the worker, or a URI), or python:///path of "
            "an interpreter on every node. Without one, the node's python3, which then needs Prefect."
        ),
    )
    yarn_queue: str | None = Field(default=None, title="Queue", description="Default: the credentials'.")
    memory: int | str = Field(default=FLOW_MEMORY, description="Of the container: MiB, or text such as 2 GiB.")
    virtual_cores: int = Field(default=1, description="Of the container.")
    files: list[str] | dict[str, str] = Field(
        default_factory=list,
        description="Paths on the worker, or URIs, for the container's folder: a list, or name there to source.",
    )
    container_resources: dict[str, int] = Field(
        default_factory=dict, title="Further resources", description="Such as yarn.io/gpu: 1."
    )
    tags: list[str] = Field(default_factory=list, description="At most 3 further tags of the application.")
    lifetime: int | str | None = Field(
        default=None,
        description="After which YARN ends the application: seconds, or text such as 2 h. Default 7 days.",
    )
    stream_output: bool = Field(default=True, description="Write the container's output into the worker's log.")
    poll_interval_seconds: float = Field(
        default=5.0, ge=0.1, title="Poll interval", description="Longest time between two looks, in seconds."
    )
    cancel_grace_seconds: float = Field(
        default=30.0,
        ge=0,
        title="Grace at cancellation",
        description="How long a cancelled flow run may take to end itself before its application is killed.",
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The variables' schema, by which the server checks what a pool, a deployment and a run set."""
        schema: dict[str, Any] = super().model_json_schema(*args, **kwargs)
        # The server takes a block or a reference to one, but not what can be both. No field of ours is required, so a
        # reference would pass as a block, too.
        schema["definitions"]["YarnCredentials"]["not"] = {"required": ["$ref"]}
        return schema


class YarnWorkerResult(BaseWorkerResult):
    """How the container of a flow run ended; the identifier is the YARN application id."""


class YarnWorker(BaseWorker[YarnJobConfiguration, YarnVariables, YarnWorkerResult]):
    """Runs each flow run as an application of one container on YARN.

    Start one with ``prefect worker start --pool POOL --type yarn``. The application's id is the flow run's
    infrastructure id, and is kept before the application is submitted. When the worker ends, its applications go on,
    as the flow runs in them do.
    """

    type = "yarn"
    job_configuration = YarnJobConfiguration
    job_configuration_variables = YarnVariables
    _display_name = "Hadoop YARN"
    _description = "Run flows in containers on a Hadoop YARN cluster."
    _logo_url = LOGO

    async def run(
        self,
        flow_run: FlowRun,
        configuration: YarnJobConfiguration,
        task_status: anyio.abc.TaskStatus[str] | None = None,
    ) -> YarnWorkerResult:
        """Submit the flow run's application and wait for its end. Called by Prefect.

        Raises:
            KnitError: the cluster refuses it; Prefect reports the flow run as crashed, with the message.
        """
        logger = self.get_flow_run_logger(flow_run)
        job = configuration.job(flow_run.id)
        credentials = configuration.credentials or YarnCredentials()
        knit = await anyio.to_thread.run_sync(credentials.get_client)
        try:
            app_id = await self._submit(knit, job, flow_run, logger)
            if task_status is not None:
                task_status.started(app_id)
            report = await self._wait(knit, app_id, configuration, flow_run, logger)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(knit.close)
        return YarnWorkerResult(identifier=app_id, status_code=await self._status_code(report, flow_run, logger))

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: YarnJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Kill a flow run's application. Called by Prefect when a cancelled flow run does not end.

        Raises:
            InfrastructureNotFound: there is no such application, or it has ended.
            InfrastructureNotAvailable: the cluster cannot be asked, or does not allow it.
        """
        credentials = configuration.credentials or YarnCredentials()
        await anyio.to_thread.run_sync(partial(_kill, credentials, infrastructure_pid))

    # -- inside -------------------------------------------------------------------------------------------------

    async def _submit(
        self, knit: Knit, job: YarnJob, flow_run: FlowRun, logger: logging.Logger | logging.LoggerAdapter[Any]
    ) -> str:
        from knit_provider.prefect.hooks import kill_tagged
        from knit_provider.prefect.start import application_url

        spec = job.spec()
        # Left by an earlier scheduling of the same flow run, which this one replaces.
        left = await anyio.to_thread.run_sync(partial(_alive_with, knit, worker_tag(flow_run.id)))
        app_id = await anyio.to_thread.run_sync(knit.new_application)
        await self.client.update_flow_run(flow_run.id, infrastructure_pid=app_id)
        if left:
            await anyio.to_thread.run_sync(
                partial(kill_tagged, knit, worker_tag(flow_run.id), "its flow run was scheduled anew", logger)
            )
        logger.info("Submitting %s (%s) to queue %s: %s", app_id, spec.name, spec.queue, application_url(knit, app_id))
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(knit.submit, spec, app_id=app_id, bound=False))
        return app_id

    async def _wait(
        self,
        knit: Knit,
        app_id: str,
        configuration: YarnJobConfiguration,
        flow_run: FlowRun,
        logger: logging.Logger | logging.LoggerAdapter[Any],
    ) -> ApplicationReport:
        from knit_provider.prefect.following import Follower
        from knit_provider.prefect.run_log import RunLog
        from knit_provider.yarn.errors import KnitError

        stop = threading.Event()

        def look(_: ApplicationReport) -> None:
            if stop.is_set():
                raise _Stopped

        lines = RunLog(logging.getLogger(f"{self._logger.name}.{app_id}"), tail_lines=0)
        follower = Follower(
            knit.application(app_id),
            poll_interval=configuration.poll_interval_seconds,
            lines=lines if configuration.stream_output else None,
            trouble=logger.warning,
        )
        ended: list[ApplicationReport | KnitError] = []
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._end_if_cancelled, knit, app_id, configuration, flow_run, logger)
                try:
                    wait = partial(follower.run, None, look)
                    ended.append(
                        await anyio.to_thread.run_sync(wait, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
                    )
                except KnitError as e:
                    # Out of the group as what it is, not as a group of exceptions.
                    ended.append(e)
                group.cancel_scope.cancel()
        finally:
            stop.set()
            lines.close()
        report = ended[0]
        if isinstance(report, KnitError):
            raise report
        logger.info("%s ended %s. %s", app_id, report.final_status, report.diagnostics)
        return report

    async def _end_if_cancelled(
        self,
        knit: Knit,
        app_id: str,
        configuration: YarnJobConfiguration,
        flow_run: FlowRun,
        logger: logging.Logger | logging.LoggerAdapter[Any],
    ) -> None:
        """Kill the application of a flow run that was cancelled and does not end by itself.

        The flow's own process in the container sees to its cancellation. It cannot where the container waits for a
        place in the cluster, where Prefect is still being imported, or where the flow does not let itself be stopped.
        """
        cancelled_at: float | None = None
        while True:
            await anyio.sleep(STATE_SECONDS)
            try:
                now = await self.client.read_flow_run(flow_run.id)
            except ObjectNotFound:
                state_name, begun = "deleted", False
            except Exception as e:
                logger.debug("the state of flow run %s: %s", flow_run.id, e)
                continue
            else:
                if now.state is None or not (now.state.is_cancelling() or now.state.is_cancelled()):
                    cancelled_at = None
                    continue
                state_name, begun = str(now.state.name), now.start_time is not None
            cancelled_at = time.monotonic() if cancelled_at is None else cancelled_at
            grace = configuration.cancel_grace_seconds if begun else 0.0
            if time.monotonic() - cancelled_at < grace:
                continue
            logger.info("The flow run is %s; killing %s", state_name, app_id)
            with contextlib.suppress(InfrastructureNotFound, InfrastructureNotAvailable):
                await anyio.to_thread.run_sync(partial(_kill_with, knit, app_id, f"its flow run is {state_name}"))

    async def _status_code(
        self, report: ApplicationReport, flow_run: FlowRun, logger: logging.Logger | logging.LoggerAdapter[Any]
    ) -> int:
        """0 for success; Prefect makes a flow run with any other code a crashed one, also one that was cancelled."""
        if report.succeeded:
            return 0
        try:
            now = await self.client.read_flow_run(flow_run.id)
            if now.infrastructure_pid not in (None, report.id):
                # Scheduled anew meanwhile, and running elsewhere.
                return 0
            if now.state is not None and now.state.is_cancelling():
                await self.client.set_flow_run_state(
                    flow_run.id, Cancelled(message=f"{report.id} was ended with it"), force=True
                )
                return 0
            if now.state is not None and now.state.is_final():
                return 0
        except Exception as e:
            logger.warning("the state of flow run %s is not known: %s", flow_run.id, e)
        return report.exit_code or 1


class _Stopped(Exception):
    """Ends the thread of a wait that nobody waits for any more."""


def worker_tag(flow_run_id: object) -> str:
    """The tag of the application that a flow run runs in.

    Another than that of the applications that the flow run starts: those are killed from within.
    """
    return f"prefect-runs-{flow_run_id}"


def _alive_with(knit: Knit, tag: str) -> list[str]:
    from knit_provider.yarn.rest.shapes import LIVE_STATES

    return [str(app["id"]) for app in knit.yarn_api.find(tags=[tag], states=LIVE_STATES)]


def _kill(credentials: YarnCredentials, app_id: str) -> None:
    with credentials.get_client() as knit:
        _kill_with(knit, app_id, "its flow run was cancelled")


def _kill_with(knit: Knit, app_id: str, why: str) -> None:
    from knit_provider.yarn.errors import ApplicationNotFound, ConfigurationError, KnitError
    from knit_provider.yarn.report import UNKNOWN

    try:
        app = knit.application(app_id)
        report = app.report()
        if report.terminal or report.state == UNKNOWN:
            raise InfrastructureNotFound(f"{app_id} has ended ({report.final_status})")
        app.kill(why, timeout=KILL_SECONDS)
    except (ApplicationNotFound, ConfigurationError) as e:
        raise InfrastructureNotFound(f"{app_id} cannot be killed: {e}") from e
    except KnitError as e:
        raise InfrastructureNotAvailable(f"{app_id} cannot be killed now: {e}") from e
