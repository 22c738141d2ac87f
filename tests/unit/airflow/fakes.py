"""A cluster in memory, for what an operator does around the calls to the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from knit_provider.yarn.errors import ApplicationFailed, ApplicationNotFound
from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.report import ApplicationReport

ENDED = {"SUCCEEDED": "FINISHED", "FAILED": "FINISHED", "KILLED": "KILLED"}


class FakeCluster:
    """Remembers applications and every call, in order.

    Attributes:
        states: id -> RUNNING, SUCCEEDED, FAILED, KILLED or UNKNOWN.
        calls: what was done, as (verb, id).
        outcome: what a submitted application becomes at once.
        on_submit: called with each id that is submitted.
    """

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.specs: list[Any] = []
        self.outcome = "SUCCEEDED"
        self.on_submit: Callable[[str], None] = lambda _app_id: None
        self.on_report: Callable[[str], None] = lambda _app_id: None
        self.diagnostics = "container_1_0001_01_000002 exited with 3"
        self.logs: list[LogChunk] = []
        self._ids = 0
        self.lock = threading.Lock()

    def new_id(self) -> str:
        self._ids += 1
        return f"application_1700000000000_{self._ids:04}"

    def did(self, verb: str) -> list[str]:
        """Ids of the calls with this verb."""
        return [app_id for called, app_id in self.calls if called == verb]

    def kill(self, app_id: str) -> bool:
        self.calls.append(("kill", app_id))
        if self.states.get(app_id) != "RUNNING":
            return False
        self.states[app_id] = "KILLED"
        return True


class FakeApplication:
    def __init__(self, cluster: FakeCluster, app_id: str) -> None:
        self.id = app_id
        self._cluster = cluster

    def report(self) -> ApplicationReport:
        self._cluster.on_report(self.id)
        state = self._cluster.states.get(self.id)
        if state is None:
            raise ApplicationNotFound(f"{self.id} is not known")
        final = state if state in ENDED else "UNDEFINED"
        return ApplicationReport(
            id=self.id, state=ENDED.get(state, state), final_status=final, diagnostics=self._cluster.diagnostics
        )

    def kill(self, diagnostics: str = "", timeout: float = 10) -> bool:
        return self._cluster.kill(self.id)

    def failure(self, report: ApplicationReport) -> ApplicationFailed:
        return ApplicationFailed(f"{self.id} failed: {report.diagnostics}", app_id=self.id, exit_code=3)

    def iter_logs(self, follow: bool = False) -> Iterator[LogChunk]:
        yield from self._cluster.logs


class FakeKnit:
    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.yarn_api = SimpleNamespace(kill=lambda app_id, timeout, diagnostics: cluster.kill(app_id))
        self.connection = SimpleNamespace(session=SimpleNamespace(addresses=["http://rm:8088"]))

    def __enter__(self) -> FakeKnit:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cluster.calls.append(("close", ""))

    def new_application(self) -> str:
        return self.cluster.new_id()

    def submit(self, spec: Any, app_id: str, bound: bool) -> str:
        assert bound is False
        self.cluster.calls.append(("submit", app_id))
        self.cluster.specs.append(spec)
        if self.cluster.states.get(app_id) is None:
            self.cluster.states[app_id] = self.cluster.outcome
        self.cluster.on_submit(app_id)
        return app_id

    def application(self, app_id: str) -> FakeApplication:
        return FakeApplication(self.cluster, app_id)

    def attach(self, app_id: str) -> FakeApplication:
        self.cluster.calls.append(("attach", app_id))
        return self.application(app_id)


class FakeTaskInstance:
    dag_id = "etl"
    run_id = "manual"
    task_id = "count"
    map_index = -1
    start_date = None

    def __init__(self, cluster: FakeCluster, max_tries: int = 1) -> None:
        self.max_tries = max_tries
        self.xcoms: dict[str, Any] = {}
        self._cluster = cluster

    def xcom_push(self, key: str, value: Any) -> None:
        self._cluster.calls.append(("xcom", key))
        self.xcoms[key] = value


class FakeStateStore(dict[str, Any]):
    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__()
        self._cluster = cluster

    def set(self, key: str, value: Any) -> None:
        self._cluster.calls.append(("store", value["app_id"]))
        self[key] = value
