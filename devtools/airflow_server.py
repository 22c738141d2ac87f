"""A real Airflow on loopback: API server, scheduler, DAG processor and triggerer, each a process of its own.

Everything it writes lies in one folder, nothing of the caller's Airflow is read, and every process is ended by its id,
also if the caller is killed.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from devtools.airflow_api import AirflowAPI, AirflowAPIError
from devtools.airflow_family import Guard, end_family
from devtools.loopback import past_proxies

START_SECONDS = 300.0
STOP_SECONDS = 20.0


class AirflowServerError(RuntimeError):
    """Airflow did not come up; the message holds the last lines of the log that says why."""


class AirflowServer:
    """Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    Args:
        home: the ``AIRFLOW_HOME``; made if missing. Database, logs and configuration lie there.
        bundles: folders of DAG files, by bundle name.
        connections: Airflow connections by id, each as the dict that ``AIRFLOW_CONN_*`` takes as JSON.
        environment: further variables for all processes.
        settings: further Airflow settings, ``{"core.parallelism": "2"}``.
        progress: called with one line for each thing that has come up.
    """

    def __init__(
        self,
        home: Path,
        bundles: Mapping[str, Path],
        *,
        connections: Mapping[str, Mapping[str, object]] | None = None,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.home = home
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = AirflowAPI(self.url)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._progress = progress
        self._guard: Guard | None = None
        self._sessions: set[int] = set()
        self._arguments: dict[str, tuple[str, ...]] = {}
        self.env = self._environment(bundles, connections or {}, environment or {}, settings or {})

    @property
    def logs(self) -> Path:
        """Folder of the processes' own logs; the tasks' logs lie in ``tasks`` below it."""
        return self.home / "logs"

    def command(self, *arguments: str) -> list[str]:
        """The command line of this environment's ``airflow``, whose modules are those of the running Python."""
        return [sys.executable, "-m", "airflow", *arguments]

    def run(self, *arguments: str, timeout: float = 120) -> str:
        """Run one ``airflow`` command to its end against this server's database and return what it printed."""
        done = subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise AirflowServerError(
                f"airflow {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
            )
        return done.stdout

    def start(self) -> AirflowServer:
        """Make the database, start the four processes and wait until all report healthy."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._guard = Guard()
            began = time.monotonic()
            self._start("migration", "db", "migrate")
            self._wait_for_exit("migration")
            self._progress(f"database: {time.monotonic() - began:.1f} s")
            self._start("api-server", "api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
            self._start("scheduler", "scheduler", "--skip-serve-logs")
            self._start("dag-processor", "dag-processor")
            self._start("triggerer", "triggerer", "--skip-serve-logs")
            self._wait_until_healthy()
            self._progress(f"api-server, scheduler, dag-processor, triggerer: {time.monotonic() - began:.1f} s in all")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End all processes and what they started, by their ids."""
        # The scheduler first: it would start anew what the others lose.
        for name in ("scheduler", "triggerer", "dag-processor", "api-server", "migration"):
            running = self.processes.get(name)
            if running is not None and running.poll() is None:
                running.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
        end_family(self._sessions)
        self._sessions.clear()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def kill(self, name: str) -> None:
        """Let one of the four processes die of ``kill -9``, with its children, as on a machine that is lost."""
        parent = psutil.Process(self.processes[name].pid)
        for process in (parent, *parent.children(recursive=True)):
            process.kill()
        self.processes[name].wait()

    def start_again(self, name: str) -> None:
        """Start one that was killed; returns at once."""
        self._start(name, *self._arguments[name])

    def __enter__(self) -> AirflowServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _start(self, name: str, *arguments: str) -> None:
        self._arguments[name] = arguments
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(*arguments),
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches only us; we end them in order.
                start_new_session=True,
            )

        session = self.processes[name].pid
        self._sessions.add(session)
        if self._guard is not None:
            self._guard.watch(session)

    def _wait_for_exit(self, name: str) -> None:
        process = self.processes[name]
        code = process.wait(START_SECONDS)
        del self.processes[name]
        self._sessions.discard(process.pid)
        if self._guard is not None:
            self._guard.forget(process.pid)
        if code:
            raise AirflowServerError(f"airflow's {name} ended with {code}:\n{self.tail(name)}")

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting_for: list[str] = ["api-server"]
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise AirflowServerError(f"airflow's {name} ended with {process.returncode}:\n{self.tail(name)}")
            try:
                waiting_for = [n for n, healthy in self.api.health().items() if not healthy]
            except AirflowAPIError:
                waiting_for = ["api-server"]
            if not waiting_for:
                return
            time.sleep(0.3)
        raise AirflowServerError(
            f"airflow's {', '.join(waiting_for)} not healthy after {START_SECONDS:g} s:\n"
            + self.tail(waiting_for[0].replace("_", "-"))
        )

    def tail(self, name: str, lines: int = 25) -> str:
        """The last lines of one process's log."""
        path = self.logs / f"{name}.log"
        text = path.read_text(errors="replace") if path.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _environment(
        self,
        bundles: Mapping[str, Path],
        connections: Mapping[str, Mapping[str, object]],
        environment: Mapping[str, str],
        settings: Mapping[str, str],
    ) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "_AIRFLOW"))}
        past_proxies(env)
        env["AIRFLOW_HOME"] = str(self.home)
        wanted = {
            "core.load_examples": "False",
            "core.executor": "LocalExecutor",
            "core.parallelism": "4",
            "core.dags_are_paused_at_creation": "False",
            "core.test_connection": "Enabled",
            "core.fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "core.execution_api_server_url": f"{self.url}/execution/",
            # Whoever reaches the loopback port is admin: this Airflow holds nothing and lives for minutes.
            "core.simple_auth_manager_all_admins": "True",
            "api.base_url": self.url,
            "api.secret_key": secrets.token_hex(32),
            "api_auth.jwt_secret": secrets.token_hex(32),
            "dag_processor.parsing_processes": "1",
            "dag_processor.dag_bundle_config_list": json.dumps(
                [
                    {
                        "name": name,
                        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                        "kwargs": {"path": str(path)},
                    }
                    for name, path in bundles.items()
                ]
            ),
            "database.sql_alchemy_conn": f"sqlite:///{self.home / 'airflow.db'}",
            "logging.base_log_folder": str(self.logs / "tasks"),
            "scheduler.scheduler_heartbeat_sec": "1",
            # Two cores that also carry a Hadoop are not always prompt.
            "core.dagbag_import_timeout": "180",
            "dag_processor.dag_file_processor_timeout": "240",
            "workers.execution_api_timeout": "60",
            "workers.max_failed_heartbeats": "10",
            "usage_data_collection.enabled": "False",
            **settings,
        }
        for key, value in wanted.items():
            section, _, name = key.partition(".")
            env[f"AIRFLOW__{section.upper()}__{name.upper()}"] = value
        for conn_id, connection in connections.items():
            env[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
        env.update(environment)
        return env


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
