"""The part of Airflow's REST interface that the demo and the tests use."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import requests

TIMEOUT = 30.0
ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class AirflowAPIError(RuntimeError):
    """Airflow did not answer, or answered with an error."""


class NoAnswer(AirflowAPIError):
    """Airflow did not answer in time, or not at all."""


class AirflowAPI:
    """Talks to an API server whose simple auth manager lets everybody be admin."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def health(self) -> dict[str, bool]:
        """Whether each component is healthy."""
        found = self._call("GET", "/api/v2/monitor/health")
        names = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return {name: (found.get(name) or {}).get("status") == "healthy" for name in names}

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until the DAG processor has read a DAG.

        Raises:
            AirflowAPIError: it has not; the message holds the import errors.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                self._call("GET", f"/api/v2/dags/{dag_id}/details")
                return
            except AirflowAPIError:
                time.sleep(0.3)
        errors = [e["stack_trace"] for e in self._call("GET", "/api/v2/importErrors")["import_errors"]]
        raise AirflowAPIError(f"Airflow has no DAG {dag_id} after {timeout:g} s. " + "\n".join(errors))

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run and return its id."""
        run = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])

    def run_ids(self, dag_id: str) -> list[str]:
        """Ids of a DAG's runs."""
        return [str(run["dag_run_id"]) for run in self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns")["dag_runs"]]

    def run_state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self._call("GET", self._run(dag_id, run_id))["state"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Task instances of a run by task id."""
        found = self._call("GET", f"{self._run(dag_id, run_id)}/taskInstances")
        return {t["task_id"]: t for t in found["task_instances"]}

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """One task instance."""
        return self._call("GET", f"{self._run(dag_id, run_id)}/taskInstances/{task_id}")

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """What the UI's "mark as" does."""
        self._call("PATCH", f"{self._run(dag_id, run_id)}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """What the UI's "clear" does."""
        body = {"dag_run_id": run_id, "task_ids": [task_id], "dry_run": False, "only_failed": False}
        self._call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """The log of one try, one line per event."""
        path = f"{self._run(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}?full_content=true"
        content = self._call("GET", path).get("content") or []
        return "\n".join(_line(event) for event in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """One XCom's value."""
        path = f"{self._run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._call("GET", path)["value"]

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 300) -> str:
        """Wait until a run has ended and return its state."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                state = self.run_state(dag_id, run_id)
            except NoAnswer:
                continue  # a busy machine
            if state in ENDED:
                return state
            time.sleep(0.5)
        raise AirflowAPIError(f"run {run_id} of {dag_id} has not ended within {timeout:g} s")

    def add_connection(self, connection_id: str, connection: dict[str, Any]) -> None:
        """Store a connection, so that the connections' page lists it; given as ``AIRFLOW_CONN_*`` takes it as JSON."""
        stored = {**connection, "connection_id": connection_id, "extra": json.dumps(connection.get("extra") or {})}
        self._call("POST", "/api/v2/connections", stored)

    def test_connection(self, connection: dict[str, Any]) -> tuple[bool, str]:
        """What the test button of the connection form does."""
        found = self._call("POST", "/api/v2/connections/test", connection)
        return bool(found["status"]), str(found["message"])

    def _run(self, dag_id: str, run_id: str) -> str:
        return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            if "Authorization" not in self._session.headers and "/monitor/" not in path:
                token = self._session.get(f"{self.url}/auth/token", timeout=TIMEOUT).json()["access_token"]
                self._session.headers["Authorization"] = f"Bearer {token}"
            answer = self._session.request(method, self.url + path, json=body, timeout=TIMEOUT)
        except (requests.RequestException, KeyError, ValueError) as e:
            raise NoAnswer(f"{method} {path}: {e}") from e
        if not answer.ok:
            raise AirflowAPIError(f"{method} {path} answered {answer.status_code}: {answer.text[:2000]}")
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found


def _line(event: dict[str, Any] | str) -> str:
    if isinstance(event, str):
        return event
    text = str(event.get("event", ""))
    for error in event.get("error_detail") or []:
        text += f"\n{error.get('exc_type')}: {error.get('exc_value')}"
    return text
