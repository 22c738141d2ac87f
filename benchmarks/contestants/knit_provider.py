"""This project, as a user without any special settings has it."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.protocol import Contestant, serve


class KnitProvider(Contestant):
    """One ``Knit`` for all applications of the process."""

    distributions = ("knit-provider", "py4j")

    def __init__(self) -> None:
        self._knit: Any = None

    def options(self) -> dict[str, Any]:
        """Arguments of ``Knit``; what a variant of this contestant changes."""
        return {}

    def start(self, command: str, *, instances: int, memory: int, name: str) -> str:
        from knit_provider import Knit

        if self._knit is None:
            self._knit = Knit(**self.options())
        return str(self._knit.start(command, num_containers=instances, memory=memory, app_name=name))

    def wait(self, app_id: str, timeout: float) -> bool:
        return bool(self._knit.wait_for_completion(timeout=timeout, app_id=app_id))

    def logs(self, app_id: str) -> str:
        return "\n".join(str(log.get("stdout", "")) for log in self._knit.logs(app_id=app_id).values())

    def close(self) -> None:
        if self._knit is not None:
            self._knit.close()


if __name__ == "__main__":
    serve(KnitProvider())
