"""Several files at once, in threads that end when nobody waits for them any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from knit_provider.yarn.threads import answer

_A = TypeVar("_A")
_B = TypeVar("_B")
_PARALLEL = 4


class GivenUp(Exception):
    """Ends an upload; nobody sees it, since whoever waited has gone with an exception of his own."""


def in_parallel(action: Callable[[_A], _B], values: Sequence[_A], given_up: threading.Event | None = None) -> list[_B]:
    """Apply ``action`` to several values at once; the first failure, in the values' order, is raised.

    Args:
        action: called in threads.
        values: its arguments.
        given_up: is set when one fails or the wait is interrupted, so that the others end soon: an interrupt reaches
            the waiting thread alone, which leaves only after them.
    """
    if len(values) < 2:
        return [action(value) for value in values]
    with ThreadPoolExecutor(min(_PARALLEL, len(values)), thread_name_prefix="knit-files") as pool:
        futures: list[Future[_B]] = []
        try:
            futures.extend(pool.submit(action, value) for value in values)
            return [answer(future) for future in futures]
        except BaseException:
            if given_up is not None:
                given_up.set()
            for future in futures:
                future.cancel()
            raise
