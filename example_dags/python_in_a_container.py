"""Python functions that run in containers: arguments, results, mapped tasks, and a command made by a function."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

# A packed environment, or an interpreter that every node has ("python:///opt/python3.12/bin/python3"); nothing is the
# node's own python3. It has to be of the worker's minor version.
ENV = "{{ params.env }}"


@dag(schedule=None, tags=["knit", "example"], params={"limit": 1000, "env": ""})
def python_in_a_container() -> None:
    @task
    def ranges(params: dict[str, Any]) -> list[list[int]]:
        limit = int(params["limit"])
        return [[start, min(start + 500, limit)] for start in range(2, limit, 500)]

    @task.yarn(env=ENV, memory="256 MiB")
    def primes(bounds: list[int]) -> list[int]:
        first, last = bounds
        print(f"looking between {first} and {last}")
        return [n for n in range(first, last) if all(n % d for d in range(2, int(n**0.5) + 1))]

    @task.yarn(env=ENV, memory="256 MiB", multiple_outputs=True, deferrable=True)
    def summary(found: list[list[int]]) -> dict[str, int]:
        every = [n for part in found for n in part]
        return {"count": len(every), "largest": max(every)}

    @task.yarn_cmd
    def report(count: int, largest: int) -> list[str]:
        return ["echo", f"{count} primes, the largest is {largest}"]

    # One application for each range.
    found = summary(primes.expand(bounds=ranges()))
    report(found["count"], found["largest"])


python_in_a_container()
