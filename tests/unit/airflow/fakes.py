"""A cluster in memory, for what an operator does around the calls to the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from knit_provider.yarn.application import Application
from knit_provider.yarn.errors import ApplicationFailed, ApplicationKilled, ApplicationNotFound
from knit_provider.yarn.logs.chunk import LogChunk, LogCursor
from knit_provider.yarn.report import ApplicationReport

ENDED = {"SUCCEEDED": "FINISHED", "FAILED": "FINISHED", "KILLED": "KILLED"}


class FakeCluster:
    """Remembers applications and every call, in order.

    Attributes:
        states: id -> ACCEPTED, RUNNING, SUCCEEDED, FAILED, KILLED or UNKNOWN.
        calls: what was done, as (verb, id).
        outcome: what a submitted application becomes at once.
        on_submit: called with each id that is submitted.
        requests: what the ResourceManager was asked by the REST interface: an id, or "list".
        trouble: what its next answers are instead, in this order.
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
        self.result: Any = None
        self.tags: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.trouble: list[Exception] = []
        self.pending_ms = 0
        self.expiry: dict[str, str] = {}
        self.application_type = "knit"
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
        if self.states.get(app_id) not in ("ACCEPTED", "RUNNING"):
            return False
        self.states[app_id] = "KILLED"
        return True

    def app(self, app_id: str) -> dict[str, Any]:
        """What the ResourceManager's REST interface says of an application."""
        state = self.states[app_id]
        return {
            "id": app_id,
            "state": ENDED.get(state, state),
            "finalStatus": state if state in ENDED else "UNDEFINED",
            "diagnostics": self.diagnostics,
            "user": "alice",
            "queue": "etl",
            "applicationType": self.application_type,
            "applicationTags": ",".join(self.tags.get(app_id, ())),
            "elapsedTime": self.pending_ms,
        }


class FakeAPI:
    """The part of YARNAPI that operators and triggers use."""

    user = "alice"

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def kill(self, app_id: str, timeout: float, diagnostics: str) -> bool:
        return self._cluster.kill(app_id)

    def status(self, app_id: str) -> dict[str, Any]:
        self._cluster.requests.append(app_id)
        self._raise()
        self._cluster.on_report(app_id)
        if self._cluster.states.get(app_id) in (None, "UNKNOWN"):
            raise ApplicationNotFound(f"{app_id} is not known")
        return self._cluster.app(app_id)

    def app_timeouts(self, app_id: str) -> dict[str, Any]:
        return {"LIFETIME": {"expiryTime": self._cluster.expiry.get(app_id, "UNLIMITED")}}

    def update_lifetime(self, app_id: str, seconds: float) -> None:
        self._cluster.expiry[app_id] = f"in {seconds:.0f} s"

    def find(
        self,
        tags: list[str] | None = None,
        states: list[str] | None = None,
        types: list[str] | None = None,
        user: str | None = None,
    ) -> list[dict[str, Any]]:
        self._cluster.requests.append("list")
        self._raise()
        found = [self._cluster.app(app_id) for app_id in self._cluster.states]
        return [
            app
            for app in found
            if (states is None or app["state"] in states)
            and (types is None or app["applicationType"] in types)
            and (user is None or app["user"] == user)
            and (tags is None or set(tags) & set(app["applicationTags"].split(",")))
        ]

    def _raise(self) -> None:
        if self._cluster.trouble:
            raise self._cluster.trouble.pop(0)


class FakeApplication:
    def __init__(self, cluster: FakeCluster, app_id: str) -> None:
        self.id = app_id
        self._cluster = cluster

    def report(self) -> ApplicationReport:
        self._cluster.on_report(self.id)
        state = self._cluster.states.get(self.id)
        if state is None:
            raise ApplicationNotFound(f"{self.id} is not known")
        if state == "UNKNOWN":
            return ApplicationReport(id=self.id, state=state)
        return ApplicationReport.from_rm(self._cluster.app(self.id))

    report_or_none = Application.report_or_none

    def kill(self, diagnostics: str = "", timeout: float = 10) -> bool:
        return self._cluster.kill(self.id)

    def failure(self, report: ApplicationReport) -> ApplicationFailed:
        kind = ApplicationKilled if report.killed else ApplicationFailed
        return kind(f"{self.id} failed: {report.diagnostics}", app_id=self.id, exit_code=3)

    def iter_logs(self, follow: bool = False, cursor: LogCursor | None = None) -> Iterator[LogChunk]:
        cursor = LogCursor() if cursor is None else cursor
        begin: dict[tuple[str, str], int] = {}
        for chunk in self._cluster.logs:
            key = (chunk.container_id, chunk.file)
            begin[key] = begin.get(key, 0) + len(chunk.text)
            if begin[key] > cursor.get(key, 0):
                cursor[key] = begin[key]
                yield chunk

    def result(self) -> Any:
        return self._cluster.result


class FakeKnit:
    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.yarn_api = FakeAPI(cluster)
        self.connection = SimpleNamespace(
            session=SimpleNamespace(page_of=lambda app_id: f"http://rm:8088/cluster/app/{app_id}")
        )

    def __enter__(self) -> FakeKnit:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cluster.calls.append(("close", ""))

    def close(self) -> None:
        """Nothing to close."""

    def new_application(self) -> str:
        return self.cluster.new_id()

    def submit(self, spec: Any, app_id: str, bound: bool) -> str:
        assert bound is False
        self.cluster.calls.append(("submit", app_id))
        self.cluster.specs.append(spec)
        self.cluster.tags[app_id] = list(spec.tags)
        if self.cluster.states.get(app_id) is None:
            self.cluster.states[app_id] = self.cluster.outcome
        self.cluster.on_submit(app_id)
        return app_id

    def application(self, app_id: str) -> FakeApplication:
        return FakeApplication(self.cluster, app_id)

    def attach(self, app_id: str) -> FakeApplication:
        self.cluster.calls.append(("attach", app_id))
        if app_id not in self.cluster.states:
            raise ApplicationNotFound(f"{app_id} is not known")
        return self.application(app_id)


class FakeTaskInstance:
    dag_id = "etl"
    run_id = "manual"
    task_id = "count"
    map_index = -1
    start_date = None

    def __init__(self, cluster: FakeCluster, max_tries: int = 1) -> None:
        self.max_tries = max_tries
        self.try_number = 1
        self.xcoms: dict[str, Any] = {}
        self._cluster = cluster

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        return self.xcoms.get(key)

    def xcom_push(self, key: str, value: Any) -> None:
        self._cluster.calls.append(("xcom", key))
        self.xcoms[key] = value


class FakeStateStore(dict[str, Any]):
    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__()
        self._cluster = cluster

    def set(self, key: str, value: Any) -> None:
        self._cluster.calls.append(("store", value.get("app_id", key)))
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)
