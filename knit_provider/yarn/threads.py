"""Work in threads, and those who wait for it and may be interrupted."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

_TURN_SECONDS = 1.0


def begin(work: Callable[[], T], name: str) -> Future[T]:
    """Begin in a thread of its own, with the caller's context, which the end of the interpreter waits for.

    A pool would drop what it has not begun when a coroutine is cancelled that awaits it. This has begun already, so who
    ends an application from the handler of a cancellation can be cancelled again meanwhile.

    Args:
        work: what to do.
        name: of the thread.

    Returns:
        A future that cannot be cancelled; for a coroutine, ``asyncio.wrap_future`` of it.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody can cancel it
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as e:
            future.set_exception(e)

    try:
        threading.Thread(target=run, name=name).start()
    except RuntimeError:
        # No more threads, as at the interpreter's end. Nobody minds then if the caller waits here.
        run()
    return future


def answer(future: Future[T]) -> T:
    """What comes of it, waited for in short turns.

    A signal that comes right before Python blocks is handled when that is over, which may be minutes.
    """
    while not future.done():
        wait([future], _TURN_SECONDS)
    return future.result()
