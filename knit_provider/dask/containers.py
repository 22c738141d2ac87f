"""Small parts that distributed's cluster classes expect: a worker's container, a scheduler elsewhere, adaptivity."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from distributed.core import Status
from distributed.deploy.adaptive import Adaptive
from distributed.deploy.spec import ProcessInterface

from knit_provider.yarn.errors import KnitError

log = logging.getLogger(__name__)


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
    """Leaves it to the cluster to retire workers, and goes on after what the cluster could not do for once.

    distributed's own would stop for good when a connection fails, as to an ApplicationMaster that restarts.
    """

    async def recommendations(self, target: int) -> dict[str, Any]:
        """What is to be done for so many workers; nothing while YARN cannot be told."""
        try:
            found = dict(await super().recommendations(target))
            # Stopped while it asked: whoever did so has ended the workers, too.
            return {"status": "same"} if self.state == "stopped" else found
        except KnitError as e:
            log.warning("the number of workers could not be adapted now: %s", e)
            return {"status": "same"}

    async def scale_down(self, workers: Iterable[str]) -> None:
        """End these workers, by name."""
        names = list(workers)
        if not names:
            return
        try:
            await self.cluster.scale_down(names)
        except KnitError as e:
            log.warning("workers %s could not be ended now: %s", ", ".join(names), e)
