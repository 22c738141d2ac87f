"""Skein 0.8.2: a driver JVM that is spoken to by gRPC, and a general ApplicationMaster."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.protocol import Contestant, poll_until, serve

_ENDED = ("FINISHED", "FAILED", "KILLED")


class Skein(Contestant):
    """One ``Client``, whose driver serves all applications of the process."""

    distributions = ("skein", "grpcio", "protobuf")

    def __init__(self) -> None:
        self._client: Any = None

    def start(self, command: str, *, instances: int, memory: int, name: str) -> str:
        import skein  # type: ignore[import-not-found]

        if self._client is None:
            self._client = skein.Client()
        service = skein.Service(instances=instances, resources=skein.Resources(memory=memory, vcores=1), script=command)
        return str(self._client.submit(skein.ApplicationSpec(name=name, services={"probe": service})))

    def wait(self, app_id: str, timeout: float) -> bool:
        # It has no wait; its users ask for reports in a loop.
        poll_until(lambda: str(self._client.application_report(app_id).state) in _ENDED, timeout)
        return str(self._client.application_report(app_id).final_status) == "SUCCEEDED"

    def logs(self, app_id: str) -> str:
        return "\n".join(self._client.application_logs(app_id).values())

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


if __name__ == "__main__":
    serve(Skein())
