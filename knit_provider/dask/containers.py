"""Small parts that distributed's cluster classes expect: a worker's container, a scheduler elsewhere, adaptivity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distributed.core import Status
from distributed.deploy.adaptive import Adaptive
from distributed.deploy.spec import ProcessInterface


class WorkerContainer(ProcessInterface):
    """A worker that the cluster wants. Its container is the ApplicationMaster's affair, all in one request."""

    def __init__(self, scheduler: str | None = None, name: str = "", **options: Any) -> None:
        super().__init__(scheduler=scheduler, name=name)
        self.name = name

    def __repr__(self) -> str:
        return f"<WorkerContainer {self.name}: {self.status.name}>"


class RemoteScheduler(ProcessInterface):
    """A scheduler that runs in a container, as the cluster object holds it."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    async def close(self) -> None:
        """Nothing: it ends with its application, or lives on."""
        self.status = Status.closed


class YARNAdaptive(Adaptive):
    """Leaves it to the cluster to retire workers, which does so in one go with ending their containers."""

    async def scale_down(self, workers: Iterable[str]) -> None:
        """End these workers, by name."""
        if workers:
            await self.cluster.scale_down(list(workers))
