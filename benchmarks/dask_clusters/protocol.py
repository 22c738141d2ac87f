"""What is measured, in a process of each contestant. Only the standard library and its distributed are imported."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_PATIENCE = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")


def until(what: Callable[[], bool]) -> None:
    """Ask every 50 ms."""
    deadline = time.monotonic() + _PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_PATIENCE} s")
        time.sleep(0.05)


class Processes:
    """The workers of one application as the operating system has them: YARN's own word comes seconds later.

    Args:
        app_id: YARN application id.
        words: two words that follow each other in a worker's command, and in no other process's.
    """

    def __init__(self, app_id: str, words: Sequence[str]) -> None:
        self._container = f"CONTAINER_ID=container_{app_id.removeprefix('application_')}_".encode()
        self._words = b"\0" + "\0".join(words).encode() + b"\0"

    def workers(self) -> dict[int, bytes]:
        """Process id -> container, of each container's one process that is a worker or its nanny."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and self._words in _read(folder / "cmdline"):
                container = self._container_of(folder)
                if container:
                    found[int(folder.name)] = container
        return found

    def cpu_seconds(self) -> float:
        """Of the workers' processes and all below them, with what has ended there.

        By parents and not by the environment, which whoever sets a title of its own overwrites, as dask's workers do.
        """
        used: dict[int, int] = {}
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            # The name before the bracket may hold anything. Then: state, parent, ...
            fields = _read(folder / "stat").rpartition(b")")[2].split() if folder.name.isdigit() else []
            if fields:
                children.setdefault(int(fields[1]), []).append(int(folder.name))
                # utime, stime, and those of children that were waited for; one that is alive counts itself.
                used[int(folder.name)] = sum(int(field) for field in fields[11:15])
        total, left = 0, list(self.workers())
        while left:
            pid = left.pop()
            total += used.get(pid, 0)
            left += children.get(pid, ())
        return total / _TICKS

    def _container_of(self, folder: Path) -> bytes | None:
        return next((v for v in _read(folder / "environ").split(b"\0") if v.startswith(self._container)), None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


def measure(begin: Callable[[], Any], words: Sequence[str], many: int) -> None:
    """Begin with two workers, go to ``many`` and to none; prints figures as one JSON object.

    Args:
        begin: starts the cluster with two workers.
        words: of a worker's command, as for :class:`Processes`.
        many: workers of the large case.
    """
    found: dict[str, float] = {}
    began = time.monotonic()
    cluster = begin()
    try:
        found["scheduler"] = time.monotonic() - began

        def registered() -> int:
            return len(cluster.scheduler_info["workers"] if hasattr(cluster, "scheduler_info") else ())

        until(lambda: registered() >= 2)
        found["workers"] = time.monotonic() - began
        processes = Processes(cluster.app_id, words)
        found["cpu"] = processes.cpu_seconds() / 2
        found["floor"] = found["cpu"] * (many - 2) / (os.cpu_count() or 1)
        from distributed import Client

        # dask-yarn's cluster lacks what this Client asks it for.
        with Client(cluster if hasattr(cluster, "status") else cluster.scheduler_address) as client:
            assert client.submit(pow, 7, 2).result(60) == 49
        again = time.monotonic()
        cluster.scale(many)
        until(lambda: len(processes.workers()) >= many)
        found["up"] = time.monotonic() - again
        until(lambda: registered() >= many)
        found["ready"] = time.monotonic() - again
        again = time.monotonic()
        cluster.scale(0)
        until(lambda: not processes.workers())
        found["down"] = time.monotonic() - again
    finally:
        try:
            cluster.close()
        except Exception as e:
            # dask-yarn's application ends by itself with its last worker, and its close() fails then.
            print(f"close() failed: {e}", file=sys.stderr)
    print(json.dumps(found), file=sys.__stdout__, flush=True)
