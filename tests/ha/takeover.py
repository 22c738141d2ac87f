"""Killing the active one of two, and how long its clients notice that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ClusterUnavailable, KnitError

PATIENCE = 90.0


def becomes_active(cluster: LocalCluster, kind: str) -> str:
    """Wait until one of a kind is the active one, and return its name."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return cluster.active(kind).name
        except ClusterUnavailable:
            assert time.monotonic() < deadline, f"no {kind} became active"
            time.sleep(0.02)


def kill_active(
    cluster: LocalCluster, kind: str, calls: Mapping[str, Callable[[], object]] | None = None
) -> dict[str, float]:
    """Kill -9 the active one, and wait until the other one has taken over and the calls work again.

    Args:
        cluster: with two of them.
        kind: ``resourcemanager`` or ``namenode``.
        calls: made again and again from the kill on, each by a thread of its own.

    Returns:
        By call, how many seconds after the new one was active it worked; and under ``takeover`` how many seconds after
        the kill that was.
    """
    heir = cluster.standby(kind).name
    cluster.active(kind).kill()
    killed = time.monotonic()
    calls = calls or {}
    stop = threading.Event()

    def works_at(call: Callable[[], object]) -> float:
        while not stop.is_set():
            try:
                call()
                return time.monotonic()
            except KnitError:
                time.sleep(0.05)
        raise AssertionError("it did not work again")

    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        running = {name: pool.submit(works_at, call) for name, call in calls.items()}
        try:
            assert becomes_active(cluster, kind) == heir
            active = time.monotonic()
            worked = {name: future.result(timeout=PATIENCE) for name, future in running.items()}
        finally:
            stop.set()
    return {"takeover": round(active - killed, 2), **{name: round(at - active, 2) for name, at in worked.items()}}
