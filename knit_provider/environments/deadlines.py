"""Runs asynchronous work to its end or its deadline, whether or not a loop runs here already (a notebook has one)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from knit_provider.yarn.errors import EnvironmentBuildError
from knit_provider.yarn.threads import answer

T = TypeVar("T")


def run(work: Callable[[], Awaitable[T]], seconds: float, what: str) -> T:
    """Run it in a thread of its own.

    Args:
        work: makes the awaitable.
        seconds: the deadline.
        what: what is done, for the error.

    Raises:
        EnvironmentBuildError: it took longer.
    """
    loop: list[asyncio.AbstractEventLoop] = []

    async def bounded() -> T:
        loop.append(asyncio.get_running_loop())
        return await asyncio.wait_for(work(), seconds)

    def run_loop() -> T:
        return asyncio.run(bounded())

    with ThreadPoolExecutor(1, thread_name_prefix="knit-conda") as pool:
        future = pool.submit(run_loop)
        try:
            return answer(future)
        except TimeoutError as error:
            raise EnvironmentBuildError(f"{what} did not end within {seconds:.0f} s") from error
        except KeyboardInterrupt:
            for running in loop:
                running.call_soon_threadsafe(_cancel_all, running)
            raise


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
