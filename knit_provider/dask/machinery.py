"""How a Dask cluster and its YARN application are kept equal: the part of the cluster class below its public names."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dask.utils import parse_timedelta
from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.deploy.spec import SpecCluster
from distributed.objects import SchedulerInfo
from distributed.scheduler import Scheduler
from distributed.security import Security
from distributed.utils import Log, Logs, get_ip
from tornado.ioloop import PeriodicCallback

from knit_provider.dask import node
from knit_provider.dask.application import WORKER, application_spec, secrets_of
from knit_provider.dask.containers import RemoteScheduler, WorkerContainer
from knit_provider.dask.ending import end_application
from knit_provider.dask.settings import ClusterSettings
from knit_provider.dask.waiting import Granted, look
from knit_provider.yarn.application import Application
from knit_provider.yarn.errors import KnitError, WaitTimeout
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import MEMORY

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 5.0
SCHEDULER_SECONDS = 300.0
# The longest time that a change may take before a cluster that is closed goes on without it.
CHANGE_SECONDS = 90.0
_PIECE_SECONDS = 10.0


class Machinery(SpecCluster):
    """Keeps the containers of one application equal to ``worker_spec``.

    A worker is named after the index of its instance in the ApplicationMaster. That replaces a container that was lost,
    under the same index, so the number of workers stays exact without anybody's doing here.
    """

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
    _start_lock: asyncio.Lock
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
            try:
                if self.settings.deploy_mode == "remote":
                    if self._app is None:
                        await self._submit(range(self.settings.n_workers or 0), address=None)
                    address = await self._in_thread(self._address_of_scheduler)
                    self.scheduler_spec = {"cls": RemoteScheduler, "options": {"address": address}}
                else:
                    self.scheduler_spec = await self._in_thread(self._local_scheduler)
                await super()._start()
                if self.settings.n_workers is not None and self._app is None:
                    async with self._lock:
                        await self._submit(range(self.settings.n_workers), address=self.scheduler_address)
            except BaseException as e:
                app = self._latest
                ended = "" if app is None else await self._in_thread(lambda: _end_of(app))
                if self.status != Status.closed:
                    self.status = Status.failed
                    await self._close()
                if ended and isinstance(e, RuntimeError) and not isinstance(e, KnitError):
                    raise KnitError(ended) from e
                raise
            watch = PeriodicCallback(self._look, LOOK_SECONDS * 1000)
            self.periodic_callbacks["yarn"] = watch
            watch.start()

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
            app_id = self.knit.submit(
                application_spec(dataclasses.replace(settings, env=env), address),
                app_id=settings.app_id if self._latest is None else None,
                bound=settings.bound,
                checks=settings.checks,
                secrets=secrets_of(self._tls),
            )
            return self.knit.application(app_id)

        self._app = self._latest = await self._in_thread(submit)
        self._note(f"{self._app.id} was submitted to queue {settings.queue}, {len(wanted)} workers wanted")
        if first < len(wanted):
            await self._change(add=wanted, remove=())
        for index in wanted:
            self.workers[str(index)] = await WorkerContainer(name=str(index))

    def _address_of_scheduler(self) -> str:
        """Where the scheduler's container says that it listens; waits for it as long as its application lives."""
        app = self._known_app()
        waited = 0.0
        while True:
            try:
                # Waits in pieces: an application that has ended says nothing any more.
                said = app.kv.wait(node.SCHEDULER_KEY, _PIECE_SECONDS)
                return str(json.loads(said)["address"])
            except WaitTimeout:
                waited += _PIECE_SECONDS
                if waited >= SCHEDULER_SECONDS:
                    now = look(self.knit, app, {MEMORY: self.settings.scheduler_memory}, {"0"})
                    why = now.refused or now.reason or "it does not say why"
                    raise WaitTimeout(f"{app.id} has no scheduler after {waited:g} s: {why}") from None
            except KnitError:
                report = app.report()
                if report.terminal:
                    raise app.failure(report) from None
                raise

    # -- between ------------------------------------------------------------------------------------------------

    def _new_worker_name(self, worker_number: int) -> str:
        return str(worker_number)

    def new_worker_spec(self) -> dict[str, Any]:
        """A worker under a name that was never used: YARN's logs are found by it."""
        name = self._new_worker_name(self._next_name)
        self._next_name += 1
        return {name: self.new_spec}

    async def _correct_state_internal(self) -> None:
        async with self._lock:
            self._correct_state_waiting = None
            if self.status in (Status.closing, Status.closed, Status.failed):
                return
            leaving = [name for name in self.workers if name not in self.worker_spec]
            arriving = [name for name in self.worker_spec if name not in self.workers]
            try:
                if leaving:
                    await self._retire(leaving)
                if self._app is None and arriving:
                    await self._submit(map(int, arriving), address=self.scheduler_address)
                elif self._app is not None and (leaving or arriving):
                    arriving = await self._change(add=map(int, arriving), remove=map(int, leaving), names=arriving)
            except KnitError as e:
                self._note(f"the workers could not be changed: {e}", logging.WARNING)
                raise
            for name in leaving:
                await self.workers.pop(name).close()
            for name in arriving:
                if name in self.worker_spec and name not in self.workers:
                    self.workers[name] = await WorkerContainer(self.scheduler_address, name=name)

    async def _change(self, *, add: Iterable[int], remove: Iterable[int], names: Iterable[str] = ()) -> list[str]:
        """Tell the ApplicationMaster, in one request; returns those of ``names`` that it has now."""
        control = self._known_app().control
        added, removed = list(add), list(remove)
        answer = await self._in_thread(lambda: control().change_instances(WORKER, add=added, remove=removed))
        self._next_name = max(self._next_name, int(answer["next"]))
        active = {str(index) for index in answer["active"]}
        kept = [name for name in names if name in active]
        for name in names:
            if name not in active and self.worker_spec.pop(name, None) is not None:
                # Somebody else has scaled the application too, and has used the number.
                self.worker_spec.update(self.new_worker_spec())
                self.loop.add_callback(self._correct_state)
        return kept

    async def _retire(self, names: list[str]) -> None:
        """Let workers hand over what they alone have, then tell the scheduler that they go."""
        seconds = self.settings.retire_timeout
        try:
            # First all of them, so that none of them is replaced while others still hand over.
            await asyncio.wait_for(
                self.scheduler_comm.retire_workers(names=names, close_workers=False, remove=False), seconds
            )
            await asyncio.wait_for(
                self.scheduler_comm.retire_workers(names=names, close_workers=True, remove=True), seconds
            )
        except asyncio.TimeoutError:
            self._note(
                f"workers {', '.join(names)} have not handed over their results within {seconds:g} s and are ended; "
                "what they alone had is computed again",
                logging.WARNING,
            )

    def _update_worker_status(self, op: str, msg: Any) -> None:
        # SpecCluster would give up a worker that is away for a while; the ApplicationMaster replaces it instead.
        Cluster._update_worker_status(self, op, msg)

    # -- looking ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Find out what is missing, as long as something is; and once more when nothing is."""
        app = self._app
        if app is not None and set(self.workers) != set(self.worker_spec) and not self._lock.locked():
            # A change that its ApplicationMaster could not be told, as while that restarts.
            with contextlib.suppress(KnitError):
                await self._correct_state()
        wanted = len(self.worker_spec)
        missing = len(self.observed) < wanted
        settled = not missing and self._all_seen and self.granted.granted == self.granted.wanted == wanted
        if app is None or self._looking or settled:
            return
        self._looking = True
        try:
            names = set(self.worker_spec)
            now = await self._in_thread(lambda: look(self.knit, app, self.settings.amounts, names))
        except KnitError as e:
            log.debug("%s: %s", app.id, e)
        else:
            if str(now) != str(self.granted) and (missing or now.ended):
                self._note(str(now), logging.WARNING if now.ended or now.refused else logging.INFO)
            for text in now.differs - self.granted.differs:
                self._note(text, logging.WARNING)
            self.granted = now
            # Workers say what is odd about them before they come.
            self._all_seen = not missing
        finally:
            self._looking = False

    async def _wait_for_workers(self, n_workers: int = 0, timeout: float | str | None = None) -> None:
        loop = asyncio.get_running_loop()
        seconds = parse_timedelta(timeout) if timeout else None
        began = last = loop.time()
        while True:
            self.scheduler_info = SchedulerInfo(await self.scheduler_comm.identity())
            states = [w["status"] for w in self.scheduler_info["workers"].values()]
            have = states.count(Status.running.name)
            if have >= n_workers:
                return
            late = seconds is not None and loop.time() - began > seconds
            if late or loop.time() - last > LOOK_SECONDS:
                last = loop.time()
                await self._look()
                if self.granted.ended or (self.granted.refused and not have):
                    raise KnitError(self.granted.ended or self.granted.refused)
            if late:
                raise WaitTimeout(f"{have} of {n_workers} workers are there after {timeout}: {self.granted}")
            await asyncio.sleep(0.1)

    async def _get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True) -> Logs:
        logs = await super()._get_logs(cluster=cluster, scheduler=scheduler, workers=workers)
        if workers is True and self._app is not None:
            logs.update(await self._in_thread(self._logs_of_ended))
        return logs

    def _logs_of_ended(self) -> dict[str, Log]:
        """What workers that are no more have left on their nodes, by container."""
        from knit_provider.yarn.logs.collection import collect

        app = self._known_app()
        ended = {
            c["id"]: c for c in app.containers() if c["service"] == WORKER and c["state"] not in ("STARTING", "RUNNING")
        }
        if not ended:
            return {}
        found = collect(self.knit.connection, app, only="stderr")
        return {
            f"worker {c['index']} ({container}, {c['state']})": Log(str(found.get(container, {}).get("stderr") or ""))
            for container, c in ended.items()
        }

    def _note(self, text: str, level: int = logging.INFO) -> None:
        """Keep a line for :meth:`get_logs`, and pass it to Python's logging."""
        quiet, self.quiet = self.quiet, True
        try:
            self._log(text)
        finally:
            self.quiet = quiet
        log.log(level, "%s", text)

    # -- ending -------------------------------------------------------------------------------------------------

    async def _close(self) -> None:
        while self.status == Status.closing:
            await asyncio.sleep(0.05)
        if self.status == Status.closed:
            return
        self.status = Status.closing
        if self._adaptive is not None:
            self._adaptive.stop()
        for callback in self.periodic_callbacks.values():
            callback.stop()
        lock = getattr(self, "_lock", None)
        if lock is not None:
            # What is on its way to YARN is ended too, and not forgotten.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(lock.acquire(), CHANGE_SECONDS)
        app, self._app = self._app, None
        try:
            if app is not None:
                # Before its scheduler, or workers would be replaced that have lost theirs.
                await self._in_thread(lambda: self._let_go(app))
        finally:
            if self.scheduler is not None:
                await self.scheduler.close()
            self.workers.clear()
            await Cluster._close(self)
            if self._owns_knit:
                await self._in_thread(self.knit.close)

    def _let_go(self, app: Application) -> None:
        if self.shutdown_on_close:
            end_application(app, self._final_status, self._diagnostics)
        else:
            app.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            future = asyncio.get_running_loop().run_in_executor(None, work)
        except RuntimeError:
            # The interpreter ends, and takes no more work for threads; nobody minds if we wait here.
            return work()
        return await future

    def _known_app(self) -> Application:
        if self._app is None:
            raise KnitError("the cluster has no application: call start() or scale()")
        return self._app


def _end_of(app: Application) -> str:
    """How the application ended; empty where it has not, or nobody can say."""
    try:
        report = app.report()
    except KnitError:
        return ""
    return f"{app.id} has ended ({report.final_status}): {report.diagnostics}" if report.terminal else ""
