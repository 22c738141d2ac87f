"""Runs many triggers in one ``TriggerRunner``, as a triggerer does, for a while; prints what they cost as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
import urllib.request
from typing import Any

from benchmarks.triggers.stub import STAMP


def make(kind: str, number: int, interval: float) -> Any:
    """A trigger that waits for the job of this number."""
    if kind == "livy":
        from airflow.providers.apache.livy.triggers.livy import LivyTrigger

        return LivyTrigger(
            batch_id=number,
            spark_params={},
            livy_conn_id="bench",
            polling_interval=int(interval),
            execution_timeout=None,
        )
    from knit_provider.triggers.knit import KnitTrigger

    return KnitTrigger(f"application_{STAMP}_{number:04}", "bench", poll_interval=interval)


def counted(port: int) -> dict[str, int]:
    """What the stub has been asked so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=30) as answer:
        found: dict[str, int] = json.load(answer)
        return found


async def scene(options: argparse.Namespace) -> dict[str, float]:
    """Start all of them, let them settle, then count."""
    from airflow.jobs.triggerer_job_runner import TriggerRunner

    runner = TriggerRunner()
    for number in range(1, options.count + 1):
        trigger = make(options.kind, number, options.interval)
        trigger.task_instance = None
        runner.triggers[number] = {"task": None, "name": f"{options.kind}-{number}", "events": 0, "is_watcher": False}
        runner.triggers[number]["task"] = asyncio.create_task(runner.run_trigger(number, trigger))
    await asyncio.sleep(options.settle)
    before, cpu, began = counted(options.port), time.process_time(), time.monotonic()
    slowest = 0.0
    while time.monotonic() - began < options.seconds:
        moment = time.monotonic()
        await asyncio.sleep(0.05)
        slowest = max(slowest, time.monotonic() - moment - 0.05)
    took = time.monotonic() - began
    cpu = time.process_time() - cpu
    after = counted(options.port)
    ended = sum(details["task"].done() for details in runner.triggers.values())
    for details in runner.triggers.values():
        details["task"].cancel()
    return {
        "requests_per_second": (after["requests"] - before["requests"]) / took,
        "kib_per_second": (after["bytes"] - before["bytes"]) / took / 1024,
        "cpu_percent": 100 * cpu / took,
        "loop_blocked_ms": 1000 * slowest,
        "ended": ended,
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("knit", "livy"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--interval", type=float, default=10)
    parser.add_argument("--settle", type=float, default=90)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print("RESULT " + json.dumps(asyncio.run(scene(options))), flush=True)


if __name__ == "__main__":
    main()
