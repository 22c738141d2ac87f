"""A YARN that submits when a test lets it, below real clusters of distributed's."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from knit_provider.yarn.errors import WaitTimeout
from knit_provider.yarn.report import ApplicationReport


class Store:
    """The key-value store of an application whose scheduler never comes up."""

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked

    def wait(self, key: str, seconds: float) -> str:
        self.asked.set()
        threading.Event().wait(0.1)
        raise WaitTimeout(key)


class App:
    """An application that has been accepted, and runs until it is killed."""

    bound = True

    def __init__(self, knit: SlowKnit, app_id: str) -> None:
        self.knit, self.id, self.state = knit, app_id, "ACCEPTED"
        self.kv = Store(knit.asked)
        self.why = ""
        self.changes: list[dict[str, Any]] = []

    def report(self) -> ApplicationReport:
        ended = "KILLED" if self.state == "KILLED" else "UNDEFINED"
        return ApplicationReport.from_rm({"id": self.id, "state": self.state, "finalStatus": ended, "queue": "q"})

    def kill(self, diagnostics: str = "", timeout: float = 10) -> bool:
        self.state, self.why = "KILLED", diagnostics
        return True

    def control(self) -> Any:
        return self

    def change_instances(self, service: str, add: list[int], remove: list[int]) -> dict[str, Any]:
        self.changes.append({"add": add, "remove": remove})
        return {"active": add, "next": 1 + max(add, default=0)}

    def close(self) -> None:
        pass


class SlowKnit:
    """Stands for ``Knit``. ``began`` is set when a submission begins, which goes on once ``go`` is."""

    def __init__(self, **given: Any) -> None:
        self.connection = SimpleNamespace(
            session=SimpleNamespace(addresses=["http://127.0.0.1:1"], page_of=lambda app_id: app_id)
        )
        self.yarn_api = SimpleNamespace(nodes=list, queue=lambda name: None)
        self.began, self.go, self.asked, self.closed = (threading.Event() for _ in range(4))
        self.apps: list[App] = []

    def submit(self, spec: Any, **given: Any) -> str:
        self.began.set()
        assert self.go.wait(60)
        # The ResourceManager has it, whatever anybody has said meanwhile.
        assert not self.closed.is_set(), "a closed connection is of no use to whoever has to end it"
        self.apps.append(App(self, f"application_1_{len(self.apps) + 1:04d}"))
        return self.apps[-1].id

    def application(self, app_id: str) -> App:
        return next(app for app in self.apps if app.id == app_id)

    def close(self) -> None:
        self.closed.set()

    @property
    def states(self) -> list[str]:
        return [app.state for app in self.apps]
