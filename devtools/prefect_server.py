"""A real Prefect server on loopback, with a database of its own.

Everything it writes lies in one folder, nothing of the caller's Prefect is read, and every process is ended by its id,
also if the caller is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from devtools.airflow_family import Guard, end_family
from devtools.loopback import past_proxies

START_SECONDS = 300.0
STOP_SECONDS = 20.0


class PrefectServerError(RuntimeError):
    """The server did not come up; the message holds the last lines of its log."""


class PrefectServer:
    """Use it as a context manager, or call :meth:`start` and :meth:`stop`, any number of times.

    Args:
        home: the ``PREFECT_HOME``; made if missing.
        environment: further variables for all processes.
        python: the interpreter whose Prefect it is; default this one.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None, python: str = sys.executable) -> None:
        self.home = home
        self.python = python
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.env = self._environment(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._others: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: Guard | None = None

    def command(self, *arguments: str) -> list[str]:
        """The command line of ``prefect``."""
        return [self.python, "-m", "prefect", *arguments]

    def start(self) -> PrefectServer:
        """Start the server, with the database that is there, and wait until it answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self._guard is None:
            self._guard = Guard()
        self._process = self.spawn(
            "server", self.command("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise PrefectServerError(f"the server ended with {self._process.returncode}:\n{self.tail('server')}")
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return self
            except requests.RequestException:
                pass
            time.sleep(0.2)
        self.stop()
        raise PrefectServerError(f"the server did not answer within {START_SECONDS:g} s:\n{self.tail('server')}")

    def stop(self) -> None:
        """End the server alone; what it knows stays in its database."""
        if self._process is not None:
            self.end(self._process)
            self._process = None

    def close(self) -> None:
        """End the server and everything that was spawned beside it."""
        for process in list(self._others.values()):
            self.end(process)
        self.stop()
        if self._guard is not None:
            self._guard.dismiss()
            self._guard = None

    def spawn(
        self, name: str, command: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process with this server's environment and a log of its own."""
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**self.env, **(env or {})},
                cwd=cwd or self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._others[name] = process
        if self._guard is not None:
            self._guard.watch(process.pid)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End one process, and what it started."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        end_family([process.pid])
        if self._guard is not None:
            self._guard.forget(process.pid)
        self._others = {name: other for name, other in self._others.items() if other is not process}

    def tail(self, name: str, lines: int = 40) -> str:
        """The last lines of one process's log."""
        path = self.home / f"{name}.log"
        text = path.read_text(errors="replace") if path.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> PrefectServer:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _environment(self, further: Mapping[str, str]) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
        past_proxies(env)
        return {
            **env,
            "PREFECT_HOME": str(self.home),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PREFECT_API_URL": self.url,
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.home / 'prefect.db'}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            **further,
        }


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
