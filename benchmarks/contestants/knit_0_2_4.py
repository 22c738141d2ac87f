"""Knit 0.2.4: a JVM from ``hadoop jar`` for each application, and an ApplicationMaster told what to do over py4j."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.protocol import Contestant, serve


class OldKnit(Contestant):
    """One ``Knit`` for each application: a second ``start`` of the same one is refused."""

    distributions = ("knit", "py4j")

    def __init__(self) -> None:
        self._knits: dict[str, Any] = {}

    def start(self, command: str, *, instances: int, memory: int, name: str) -> str:
        from knit import Knit  # type: ignore[import-not-found]

        # As many replicas as the cluster has DataNodes, as everybody else writes here. Its jar has to be readable by
        # all, folders above it included, which a home directory for its owner only is not.
        knit = Knit(replication_factor=1, hdfs_home="/tmp/knit-0.2.4")
        app_id = str(knit.start(command, num_containers=instances, memory=memory, app_name=name))
        self._knits[app_id] = knit
        return app_id

    def wait(self, app_id: str, timeout: float) -> bool:
        knit = self._knits[app_id]
        knit.wait_for_completion(timeout=timeout)
        return bool(knit.status()["finalStatus"] == "SUCCEEDED")

    def ended(self, app_id: str) -> None:
        # Its way to end the application's own JVM here, which else stays.
        self._knits[app_id].kill()

    def logs(self, app_id: str) -> str:
        found = self._knits[app_id].logs(shell=True)
        return "\n".join(log["stdout"] for log in found.values())

    def close(self) -> None:
        for knit in self._knits.values():
            knit.kill()


if __name__ == "__main__":
    serve(OldKnit())
