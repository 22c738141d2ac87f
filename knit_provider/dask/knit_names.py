"""The names by which Knit's Dask clusters were started, stopped and changed."""

from __future__ import annotations

from typing import Any

from knit_provider.dask.application import WORKER
from knit_provider.dask.containers import WorkerContainer
from knit_provider.dask.ending import end_application
from knit_provider.dask.machinery import Machinery
from knit_provider.dask.settings import ClusterSettings, same
from knit_provider.yarn.errors import ConfigurationError, KnitError


class KnitNames(Machinery):
    """What a cluster offers beside distributed's own methods."""

    def start(
        self,
        n_workers: int | None = None,
        memory: int | str | None = None,
        cpus: int | None = None,
        *,
        nworkers: int | None = None,
        cpu: int | None = None,
    ) -> Any:
        """Start so many workers, of this size if the application is not there yet.

        Returns once the ResourceManager has accepted the application; the workers come as they are granted. Where that
        is interrupted, they come all the same: ``scale(0)``, :meth:`stop` or :meth:`close` takes it back.

        Args:
            n_workers: how many (default 1); also ``nworkers``.
            memory: of each, as for the constructor.
            cpus: of each; also ``cpu``.

        Raises:
            ConfigurationError: another size than that of the application that there is already.
        """
        count = same(n_workers, nworkers, "n_workers and nworkers")
        sized = self.settings.sized(memory, same(cpus, cpu, "cpus and cpu"))
        self._resize(sized)
        self.scale(1 if count is None else count)
        return self.sync(self._correct_state)

    def stop(self) -> Any:
        """End the application with its workers, and adapting; :meth:`start` starts another application.

        A remote scheduler ends with it, and the cluster is closed.
        """
        if self.settings.deploy_mode == "remote":
            return self.close()
        return self.sync(self._stop)

    async def _stop(self) -> None:
        if self._adaptive is not None:
            self._adaptive.stop()
        async with self._lock:
            self.worker_spec.clear()
            self.workers.clear()
            app, self._app = self._app, None
            if app is not None:
                await self._in_thread(lambda: end_application(app))

    def add_workers(self, n_workers: int = 1, cpus: int | None = None, memory: int | str | None = None) -> Any:
        """Start further workers; all of a cluster have one size."""
        self._resize(self.settings.sized(memory, cpus))
        return self.start(len(self.worker_spec) + n_workers)

    def remove_worker(self, worker: str | int) -> Any:
        """End one worker, which hands over its results first.

        Args:
            worker: its name, its container's id or its address.

        Raises:
            KnitError: there is no such worker.
        """
        return self.sync(self._remove_worker, str(worker))

    async def _remove_worker(self, worker: str) -> None:
        name = worker
        if worker.startswith("container_"):
            containers = await self._in_thread(self._known_app().containers)
            name = next((str(c["index"]) for c in containers if c["id"] == worker and c["service"] == WORKER), worker)
        elif "://" in worker:
            name = str(self.scheduler_info["workers"].get(worker, {}).get("name", worker))
        if name not in self.worker_spec:
            raise KnitError(f"there is no worker {worker}; there are {', '.join(self.worker_spec) or 'none'}")
        await self.scale_down([name])

    @property
    def worker_containers(self) -> list[str]:
        """Ids of the containers that run workers."""
        if self._app is None:
            return []
        return [c["id"] for c in self._app.containers() if c["service"] == WORKER and c["state"] == "RUNNING"]

    @property
    def local_cluster(self) -> KnitNames:
        """The cluster itself, which has the scheduler in it."""
        return self

    def _worker_spec(self) -> dict[str, Any]:
        options = {"nthreads": self.settings.nthreads, "memory_limit": self.settings.memory_limit}
        return {"cls": WorkerContainer, "options": options}

    def _resize(self, sized: ClusterSettings) -> None:
        if sized == self.settings:
            return
        if self._app is not None:
            raise ConfigurationError(
                f"the workers of {self._app.id} have {self.settings.memory} MiB and {self.settings.cpus} cores, and "
                "those of one cluster are alike; stop() it first, or leave memory and cpus out"
            )
        self.settings = sized
        self.new_spec = self._worker_spec()
