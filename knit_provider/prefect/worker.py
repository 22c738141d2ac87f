"""A Prefect worker that runs each flow run in a container on YARN."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import anyio.abc
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound, ObjectNotFound
from prefect.states import Cancelled, Crashed
from prefect.workers.base import BaseWorker, BaseWorkerResult

from knit_provider.prefect.credentials import YarnCredentials
from knit_provider.prefect.looks import LOGO
from knit_provider.prefect.pool import YarnJobConfiguration, YarnVariables, worker_tag
from knit_provider.prefect.unwatched import unwatched

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport

STATE_SECONDS = 5.0
KILL_SECONDS = 10.0
LOOK_FOR_UNWATCHED_SECONDS = 30.0


class YarnWorkerResult(BaseWorkerResult):
    """How the container of a flow run ended; the identifier is the YARN application id."""


class YarnWorker(BaseWorker[YarnJobConfiguration, YarnVariables, YarnWorkerResult]):
    """Runs each flow run as an application of one container on YARN.

    Start one with ``prefect worker start --pool POOL --type yarn``. The application's id is the flow run's
    infrastructure id, and is kept before the application is submitted. When the worker ends, its applications go on,
    as the flow runs in them do; the next worker of the pool watches them again.
    """

    type = "yarn"
    job_configuration = YarnJobConfiguration
    job_configuration_variables = YarnVariables
    _display_name = "Hadoop YARN"
    _description = "Run flows in containers on a Hadoop YARN cluster."
    _logo_url = LOGO

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched: set[UUID] = set()

    async def start(
        self, run_once: bool = False, with_healthcheck: bool = False, printer: Callable[..., None] = print
    ) -> None:
        """Run flow runs of the pool until stopped, and watch those that a worker which is gone has left.

        Called by Prefect.
        """
        trouble: list[Exception] = []
        async with anyio.create_task_group() as group:
            if not run_once:
                group.start_soon(self._watch_what_was_left, group)
            try:
                await super().start(run_once, with_healthcheck, printer)
            except Exception as e:
                # Out of the group as what it is, not as a group of exceptions.
                trouble.append(e)
            group.cancel_scope.cancel()
        if trouble:
            raise trouble[0]

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
        self._watched.add(flow_run.id)
        try:
            async with _connected(configuration) as knit:
                app_id = await self._submit(knit, configuration, flow_run, logger)
                if task_status is not None:
                    task_status.started(app_id)
                report = await self._wait(knit, app_id, configuration, flow_run, logger)
            return YarnWorkerResult(identifier=app_id, status_code=await self._status_code(report, flow_run, logger))
        finally:
            self._watched.discard(flow_run.id)

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
        self,
        knit: Knit,
        configuration: YarnJobConfiguration,
        flow_run: FlowRun,
        logger: logging.Logger | logging.LoggerAdapter[Any],
    ) -> str:
        from knit_provider.prefect.hooks import kill_tagged
        from knit_provider.prefect.start import application_url

        spec = configuration.spec(flow_run.id)
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
        if report.succeeded or await self._is_accounted_for(report.id, flow_run, logger):
            return 0
        return report.exit_code or 1

    async def _is_accounted_for(
        self, app_id: str, flow_run: FlowRun, logger: logging.Logger | logging.LoggerAdapter[Any]
    ) -> bool:
        """Whether the end of its application tells nothing new about a flow run; one that was cancelled is told so."""
        try:
            now = await self.client.read_flow_run(flow_run.id)
            if now.infrastructure_pid not in (None, app_id):
                # Scheduled anew meanwhile, and running elsewhere.
                return True
            if now.state is not None and now.state.is_cancelling():
                await self.client.set_flow_run_state(
                    flow_run.id, Cancelled(message=f"{app_id} was ended with it"), force=True
                )
                return True
            return now.state is not None and now.state.is_final()
        except ObjectNotFound:
            return True
        except Exception as e:
            logger.warning("the state of flow run %s is not known: %s", flow_run.id, e)
            return False

    # -- what another worker left -------------------------------------------------------------------------------

    async def _watch_what_was_left(self, group: anyio.abc.TaskGroup) -> None:
        pause = 1.0
        while True:
            await anyio.sleep(pause)
            if not self.is_setup:
                continue
            pause = LOOK_FOR_UNWATCHED_SECONDS
            try:
                found = await unwatched(self.client, self.work_pool.name, self.name, self._watched)
            except Exception as e:
                self._logger.debug("The flow runs that nobody watches could not be looked for: %s", e)
                continue
            for flow_run in found:
                self._watched.add(flow_run.id)
                group.start_soon(self._watch_again, flow_run)

    async def _watch_again(self, flow_run: FlowRun) -> None:
        """Watch the application of a flow run whose worker is gone, as that would have."""
        from knit_provider.yarn.errors import ApplicationNotFound

        logger = self.get_flow_run_logger(flow_run)
        app_id = str(flow_run.infrastructure_pid)
        try:
            configuration = await self.job_configuration.resolve_for_flow_run(
                flow_run,
                client=self.client,
                work_pool=self.work_pool,
                worker_name=self.name,
                worker_id=self.backend_id,
            )
            logger.info("Worker '%s' goes on watching %s, whose worker is gone", self.name, app_id)
            try:
                async with _connected(configuration) as knit:
                    report = await self._wait(knit, app_id, configuration, flow_run, logger)
                good, how = report.succeeded, f"{app_id} ended {report.final_status}. {report.diagnostics}"
            except ApplicationNotFound as e:
                good, how = False, str(e)
            if not good and not await self._is_accounted_for(app_id, flow_run, logger):
                await self.client.set_flow_run_state(flow_run.id, Crashed(message=how))
                logger.info("Reported the flow run as crashed: %s", how)
        except Exception as e:
            logger.warning("%s cannot be watched now (%s: %s); trying again", app_id, type(e).__name__, e)
        finally:
            self._watched.discard(flow_run.id)


class _Stopped(Exception):
    """Ends the thread of a wait that nobody waits for any more."""


@contextlib.asynccontextmanager
async def _connected(configuration: YarnJobConfiguration) -> AsyncIterator[Knit]:
    """The cluster that a flow run's credentials name."""
    credentials = configuration.credentials or YarnCredentials()
    knit = await anyio.to_thread.run_sync(credentials.get_client)
    try:
        yield knit
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(knit.close)


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
