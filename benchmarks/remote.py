"""A contestant's process, seen from the harness."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.registry import Entry

_REPOSITORY = Path(__file__).parent.parent


class ContestantFailed(Exception):
    """A contestant answered with an error, not in time, or not at all."""


class Remote:
    """Runs a contestant in its own environment and talks to it; as a context manager it leaves nothing running."""

    def __init__(self, entry: Entry, python: Path, env: Mapping[str, str], log: Path) -> None:
        """Starts the process.

        Args:
            entry: which.
            python: its interpreter.
            env: all of its environment.
            log: file for what it and its JVM print.
        """
        self.entry = entry
        self._buffer = b""
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [str(python), "-m", f"benchmarks.contestants.{entry.module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(env),
                cwd=_REPOSITORY,
            )

    def call(self, action: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Asks and waits for the answer."""
        self.ask(action, **arguments)
        return self.answer(timeout)

    def ask(self, action: str, **arguments: Any) -> None:
        """Asks; the answer is fetched by :meth:`answer`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": action, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ContestantFailed(f"its process ended with {self._process.wait(10)}") from None

    def answer(self, timeout: float) -> dict[str, Any]:
        """The answer to the last question.

        Raises:
            ContestantFailed: it is an error, or there is none in time.
        """
        answer: dict[str, Any] = json.loads(self._read_line(timeout))
        if not answer.pop("ok"):
            raise ContestantFailed(answer["error"])
        return answer

    def jvm_rss(self) -> int:
        """Resident bytes of the JVMs that it runs on this side."""
        return sum(rss_of(child) for child in self._children() if _is_java(child))

    def python_rss(self) -> int:
        """Resident bytes of its Python."""
        return rss_of(psutil.Process(self._process.pid))

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exc: object) -> None:
        children = self._children()
        try:
            self.ask("close")
            self._process.wait(30)
        except (ContestantFailed, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        # A JVM gets a moment to end by itself.
        for child in psutil.wait_procs(children, timeout=5)[1]:
            child.kill()

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _read_line(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        descriptor = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise ContestantFailed(f"no answer within {timeout:.0f} s")
                data = os.read(descriptor, 65536)
                if not data:
                    raise ContestantFailed(f"its process ended with {self._process.wait(10)}")
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def application_master(app_id: str) -> psutil.Process | None:
    """The JVM in an application's first container, None if there is none on this machine."""
    cluster, _, number = app_id.removeprefix("application_").partition("_")
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "java":
            continue
        try:
            container = process.environ().get("CONTAINER_ID", "")
        except psutil.Error:
            continue
        if f"_{cluster}_{number}_" in container and container.endswith("_000001"):
            return process
    return None


def java_began(process: psutil.Process) -> float | None:
    """When a process that was a shell script before became a JVM, in seconds since the epoch (to 10 ms).

    The process itself is as old as the script; the thread that runs ``main`` is made by ``java``.
    """
    ticks = []
    try:
        for stat in Path(f"/proc/{process.pid}/task").glob("*/stat"):
            if stat.parent.name != str(process.pid):
                # The fields after the name, which may hold anything; the 22nd of all is the start in ticks since boot.
                ticks.append(int(stat.read_text().rpartition(")")[2].split()[19]))
    except OSError:
        return None
    if not ticks:
        return None
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + min(ticks) / os.sysconf("SC_CLK_TCK")


def rss_of(process: psutil.Process) -> int:
    """Resident bytes of a process, 0 if it is gone."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _is_java(process: psutil.Process) -> bool:
    try:
        return bool(process.name() == "java")
    except psutil.Error:
        return False
