"""How a Dask cluster and its YARN application begin and end, also where somebody interrupts that."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.deploy.spec import SpecCluster
from distributed.scheduler import Scheduler
from distributed.security import Security
from distributed.utils import get_ip
from tornado.ioloop import PeriodicCallback

from knit_provider.dask.application import application_spec, secrets_of
from knit_provider.dask.beginning import Beginning
from knit_provider.dask.containers import RemoteScheduler, WorkerContainer
from knit_provider.dask.ending import end_application
from knit_provider.dask.settings import ClusterSettings
from knit_provider.dask.waiting import Granted, address_of_scheduler
from knit_provider.yarn.application import Application
from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import MEMORY
from knit_provider.yarn.threads import begin

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 5.0
# The longest time that a change may take before a cluster that is closed goes on without it.
CHANGE_SECONDS = 90.0
# The same of a submission that nobody waits for any more. Its own thread ends it, if need be later.
GIVE_UP_SECONDS = 10.0
# For the end of an interrupted start, with that of its application.
ABANDON_SECONDS = 40.0

_INTERRUPTED = ("KILLED", "the start of its Dask cluster was interrupted")


class Life(SpecCluster):
    """Submits the application, ends it, and leaves none that nobody owns."""

    status: Any
    quiet: bool
    knit: Knit
    settings: ClusterSettings
    granted: Granted
    _app: Application | None
    _latest: Application | None
    _tls: Security | None
    _build_env: Callable[[], str] | None
    _owns_knit: bool
    _next_name: int
    _beginning: Beginning
    _start_lock: asyncio.Lock
    _starting: asyncio.Task[Any] | None
    _closing: asyncio.Task[None] | None
    _correct_state_waiting: asyncio.Task[None] | None
    _looking: bool
    _all_seen: bool
    _final_status: str
    _diagnostics: str

    # -- beginning ----------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        async with self._start_lock:
            if self.status != Status.created:
                await super()._start()
                return
            self._starting = asyncio.current_task()
            try:
                if self.settings.deploy_mode == "remote":
                    if self._app is None:
                        await self._submit(range(self.settings.n_workers or 0), address=None)
                    app, amounts = self._known_app(), {MEMORY: self.settings.scheduler_memory}
                    address = await self._in_thread(
                        lambda: address_of_scheduler(self.knit, app, amounts, self._beginning)
                    )
                    self.scheduler_spec = {"cls": RemoteScheduler, "options": {"address": address}}
                else:
                    self.scheduler_spec = await self._in_thread(self._local_scheduler)
                await super()._start()
                if self.settings.n_workers is not None and self._app is None:
                    async with self._lock:
                        await self._submit(range(self.settings.n_workers), address=self.scheduler_address)
            except asyncio.CancelledError:
                self._final_status, self._diagnostics = _INTERRUPTED
                await self._close()
                raise
            except BaseException as e:
                latest = self._latest
                ended = "" if latest is None else await self._in_thread(lambda: _end_of(latest))
                if self.status not in (Status.closing, Status.closed):
                    self.status = Status.failed
                    self._final_status, self._diagnostics = "FAILED", f"its start failed: {e}"[:1000]
                await self._close()
                if ended and isinstance(e, RuntimeError) and not isinstance(e, KnitError):
                    raise KnitError(ended) from e
                raise
            watch = PeriodicCallback(self._look, LOOK_SECONDS * 1000)
            self.periodic_callbacks["yarn"] = watch
            watch.start()

    async def __aenter__(self) -> Any:
        try:
            return await super().__aenter__()
        except asyncio.CancelledError:
            # Nobody has it yet who could close it.
            await self._close()
            raise

    def _local_scheduler(self) -> dict[str, Any]:
        """A scheduler in this process, at the address that leads to the cluster."""
        host = self.settings.ip
        if host is None:
            host = get_ip(urlsplit(self.knit.connection.session.addresses[0]).hostname or "localhost")
        encrypted = self._tls is not None
        options: dict[str, Any] = {
            "host": host,
            "port": self.settings.port,
            "protocol": "tls://" if encrypted else "tcp://",
            "dashboard_address": self.settings.dashboard_address,
            **self.settings.scheduler_options,
        }
        if self.settings.idle_timeout is not None:
            options["idle_timeout"] = self.settings.idle_timeout
        if encrypted:
            options["security"] = self._tls
        return {"cls": Scheduler, "options": options}

    async def _submit(self, indices: Iterable[int], address: str | None) -> None:
        """Start the application with workers of these indices."""
        wanted = list(indices)
        # The first ones are part of the application, and need no request of their own.
        first = len(wanted) if wanted == list(range(len(wanted))) else 0
        settings = dataclasses.replace(self.settings, n_workers=first)

        def submit() -> Application:
            env = self._build_env() if self._build_env is not None else settings.env
            self._beginning.refuse()
            app_id = self.knit.submit(
                application_spec(dataclasses.replace(settings, env=env), address),
                app_id=settings.app_id if self._latest is None else None,
                bound=settings.bound,
                checks=settings.checks,
                secrets=secrets_of(self._tls),
                still_wanted=self._beginning.still_wanted,
            )
            self._latest = self.knit.application(app_id)
            return self._latest

        self._app = await self._beginning.run(submit)
        self._note(f"{self._app.id} was submitted to queue {settings.queue}, {len(wanted)} workers wanted")
        if first < len(wanted):
            await self._change(add=wanted, remove=())
        for index in wanted:
            self.workers[str(index)] = await WorkerContainer(name=str(index))

    async def _change(self, *, add: Iterable[int], remove: Iterable[int], names: Iterable[str] = ()) -> list[str]:
        raise NotImplementedError

    async def _look(self) -> None:
        raise NotImplementedError

    # -- ending -------------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        # Not by the status: that says "closed" before the connection is.
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close_once())
        # Whoever waits may be cancelled, also twice; what has begun goes on.
        await asyncio.shield(self._closing)

    async def _close_once(self) -> None:
        self.status = Status.closing
        self._beginning.give_up()
        if self._adaptive is not None:
            self._adaptive.stop()
        for callback in self.periodic_callbacks.values():
            callback.stop()
        lock = getattr(self, "_lock", None)
        if lock is not None:
            # What is on its way to YARN is ended too, and not forgotten.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lock.acquire(), CHANGE_SECONDS)
        left = await self._beginning.left(GIVE_UP_SECONDS)
        app, self._app = self._app or left, None
        try:
            if app is not None:
                # Before its scheduler, or workers would be replaced that have lost theirs.
                await self._in_thread(lambda: self._let_go(app))
        finally:
            if self.scheduler is not None:
                await self.scheduler.close()
            self.workers.clear()
            await Cluster._close(self)
            if self._owns_knit and not self._beginning.afterwards(self.knit.close):
                await self._in_thread(self.knit.close)

    def _abandon(self) -> None:
        """Take back a start that was interrupted in the thread that waits for it, and end the event loop."""
        self._beginning.give_up()
        self._final_status, self._diagnostics = _INTERRUPTED
        try:
            if self._starting is not None:
                self.sync(self._cancel_start, callback_timeout=ABANDON_SECONDS)
        except Exception as e:
            # What interrupted is what the caller gets to see.
            log.warning("the interrupted start of a Dask cluster could not be taken back in order: %s", e)
        finally:
            with contextlib.suppress(TimeoutError):
                self._loop_runner.stop()

    async def _cancel_start(self) -> None:
        starting = self._starting
        if starting is not None and not starting.done():
            starting.cancel()
        await self._close()

    def _let_go(self, app: Application) -> None:
        if self.shutdown_on_close:
            end_application(app, self._final_status, self._diagnostics)
        else:
            app.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Do something that takes its time; it is done also where its caller is cancelled."""
        return await asyncio.wrap_future(begin(work, "knit-dask"))

    def _known_app(self) -> Application:
        if self._app is None:
            raise KnitError("the cluster has no application: call start() or scale()")
        return self._app

    def _note(self, text: str, level: int = logging.INFO) -> None:
        """Keep a line for :meth:`get_logs`, and pass it to Python's logging."""
        quiet, self.quiet = self.quiet, True
        try:
            self._log(text)
        finally:
            self.quiet = quiet
        log.log(level, "%s", text)


def _end_of(app: Application) -> str:
    """How the application ended; empty where it has not, or nobody can say."""
    try:
        report = app.report()
    except KnitError:
        return ""
    return f"{app.id} has ended ({report.final_status}): {report.diagnostics}" if report.terminal else ""
