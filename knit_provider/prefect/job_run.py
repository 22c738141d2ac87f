"""``YarnJobRun``: one application on YARN, as Prefect's job runs are."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from prefect.blocks.abstract import JobRun

from knit_provider.prefect.caller import current_caller
from knit_provider.prefect.credentials import YarnCredentials, block_of, client_of
from knit_provider.yarn.threads import begin

if TYPE_CHECKING:
    from knit_provider.prefect.page import RunPage
    from knit_provider.prefect.run_log import RunLog
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport

ON_KILL = ("kill", "keep")
KILL_SECONDS = 10.0


class YarnJobRun(JobRun[Any]):
    """One application, by its id: any YARN application, whoever started it.

    It holds no connection and can be pickled.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        app_id: YARN application id.
        app_name: its name, for the artifacts.
        url: its page in the ResourceManager's web interface.
        timeout_seconds, poll_interval_seconds, get_logs, log_tail_lines, on_kill_action: as of
            :class:`~knit_provider.prefect.jobs.YarnJob`.

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
                await asyncio.wrap_future(begin(partial(self.end, "the run that waited was cancelled"), "knit-end"))
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
        from knit_provider.yarn.logs.last_words import failing_container, with_last_words

        container_id = failing_container(report)
        tail = [] if report.succeeded else lines.tail(container_id)
        page.show_summary(report, self.tracking_url, _containers(app), tail)
        if not report.succeeded:
            raise with_last_words(app.failure(report), report, container_id, tail)
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

    def end(self, why: str) -> None:
        """Do to the application what ``on_kill_action`` says."""
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
