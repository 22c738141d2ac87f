"""How a Dask cluster and its YARN application are kept equal: the part of the cluster class below its public names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from dask.utils import parse_timedelta
from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.objects import SchedulerInfo
from distributed.utils import Log, Logs

from knit_provider.dask.application import WORKER
from knit_provider.dask.beginning import GivenUp
from knit_provider.dask.containers import WorkerContainer
from knit_provider.dask.life import LOOK_SECONDS, Life
from knit_provider.dask.waiting import look
from knit_provider.yarn.errors import KnitError, WaitTimeout

log = logging.getLogger(__name__)


class Machinery(Life):
    """Keeps the containers of one application equal to ``worker_spec``.

    A worker is named after the index of its instance in the ApplicationMaster. That replaces a container that was lost,
    under the same index, so the number of workers stays exact without anybody's doing here.
    """

    # -- between ------------------------------------------------------------------------------------------------

    def _new_worker_name(self, worker_number: int) -> str:
        return str(worker_number)

    def new_worker_spec(self) -> dict[str, Any]:
        """A worker under a name that was never used: YARN's logs are found by it."""
        name = self._new_worker_name(self._next_name)
        self._next_name += 1
        return {name: self.new_spec}

    def _correct_state(self) -> asyncio.Future[None]:
        waiting = self._correct_state_waiting
        if waiting is None or waiting.done():
            waiting = self._correct_state_waiting = asyncio.ensure_future(self._correct_state_internal())
        # Several wait for one task: that one of them is cancelled, as by Ctrl-C, is no matter of the others.
        return asyncio.shield(waiting)

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
            except GivenUp:
                return
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
        except TimeoutError:
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
        if self.settings.deploy_mode == "local" and self.scheduler.status == Status.closed:
            # Workers would come up, find nobody and be replaced, for as long as this process lives.
            self._note("the scheduler has ended, as idle_timeout and a client's shutdown() do, and the cluster with it")
            await self._close()
            return
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
