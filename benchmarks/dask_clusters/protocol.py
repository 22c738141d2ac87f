"""What is measured, in a process of each contestant. Only the standard library and its distributed are imported."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 300.0


def until(what: Callable[[], bool]) -> None:
    """Ask every 50 ms."""
    deadline = time.monotonic() + _PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_PATIENCE} s")
        time.sleep(0.05)


def measure(begin: Callable[[], Any], containers: Callable[[Any], int], many: int) -> None:
    """Begin with two workers, go to ``many`` and to none; prints seconds as one JSON object."""
    found: dict[str, float] = {}
    began = time.monotonic()
    cluster = begin()
    try:
        found["scheduler"] = time.monotonic() - began
        until(lambda: len(cluster.scheduler_info["workers"] if hasattr(cluster, "scheduler_info") else ()) >= 2)
        found["workers"] = time.monotonic() - began
        from distributed import Client

        # dask-yarn's cluster lacks what this Client asks it for.
        with Client(cluster if hasattr(cluster, "status") else cluster.scheduler_address) as client:
            assert client.submit(pow, 7, 2).result(60) == 49
        again = time.monotonic()
        cluster.scale(many)
        until(lambda: containers(cluster) >= many)
        found["up"] = time.monotonic() - again
        again = time.monotonic()
        cluster.scale(0)
        until(lambda: containers(cluster) == 0)
        found["down"] = time.monotonic() - again
    finally:
        cluster.close()
    print(json.dumps(found), file=sys.__stdout__, flush=True)
