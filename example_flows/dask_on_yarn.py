"""Flows whose tasks run on a Dask cluster on YARN, which begins and ends with the flow.

    python example_flows/dask_on_yarn.py hdfs:///envs/prefect-dask.tar.gz

The workers' environment has to hold Prefect and prefect-dask, and the modules that the tasks are in; those of this file
travel along, since it is the program. The nodes have to reach Prefect's API.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from prefect import flow, task
from prefect_dask import DaskTaskRunner


def on_yarn(**cluster: Any) -> DaskTaskRunner:
    """A task runner with one worker while there is little to do, and with up to four.

    Args:
        cluster: further arguments of ``DaskYARNCluster``.
    """
    return DaskTaskRunner(
        cluster_class="knit_provider.dask.DaskYARNCluster",
        cluster_kwargs={"name": "prefect", "memory": "1 GiB", "nanny": False, **cluster},
        adapt_kwargs={"minimum": 1, "maximum": 4},
    )


@task
def square(number: int) -> tuple[int, str]:
    """A number's square, and the container that it was computed in."""
    return number * number, os.environ.get("KNIT_CONTAINER_ID", "none")


@task
async def square_later(number: int) -> tuple[int, str]:
    """The same as a coroutine."""
    await asyncio.sleep(0.1)
    return number * number, os.environ.get("KNIT_CONTAINER_ID", "none")


@flow(log_prints=True)
def sum_of_squares(up_to: int = 20) -> tuple[int, list[str]]:
    """Add up squares; returns the sum and the containers that took part."""
    return added_up([future.result() for future in square.map(range(up_to))])


@flow(log_prints=True)
async def sum_of_squares_later(up_to: int = 20) -> tuple[int, list[str]]:
    """The same as a coroutine."""
    return added_up([future.result() for future in square_later.map(range(up_to))])


def added_up(found: list[tuple[int, str]]) -> tuple[int, list[str]]:
    """The sum of the squares, and each container once."""
    total, containers = sum(number for number, _ in found), sorted({container for _, container in found})
    print(f"{total}, computed in {', '.join(containers)}")
    return total, containers


if __name__ == "__main__":
    runner = on_yarn(env=sys.argv[1])
    sum_of_squares.with_options(task_runner=runner)()
    asyncio.run(sum_of_squares_later.with_options(task_runner=runner)())
