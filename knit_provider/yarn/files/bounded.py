"""A deadline for calls into code that knows none."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Stalled(Exception):
    """Nothing moved for too long, or the caller went away; what was called may still be at it."""


class Pulse:
    """By this a call shows that it gets on, and learns that nobody waits for it any more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()
        self._given_up = False

    def beat(self) -> None:
        """Say that something moved.

        Raises:
            Stalled: nobody waits any more; do nothing further.
        """
        if self._given_up:
            raise Stalled
        self._last = time.monotonic()

    def allow(self, seconds: float) -> None:
        """From now on, let so many seconds pass between two beats."""
        self._seconds = seconds

    def give_up(self) -> None:
        """Let the next :meth:`beat` end the call."""
        self._given_up = True

    @property
    def left(self) -> float:
        """Seconds until the next beat is overdue."""
        return self._last + self._seconds - time.monotonic()


def call_bounded(action: Callable[[Pulse], _T], seconds: float) -> _T:
    """Call ``action`` in a thread of its own, and wait for as long as it gets on.

    The thread is a daemon, so that a call that never returns does not keep the process from ending.

    Args:
        action: what to call; a long one beats the pulse that it is given.
        seconds: how long it may go without a beat.

    Raises:
        Stalled: it went without one for longer. It goes on until its next beat, and may still take effect.
    """
    pulse = Pulse(seconds)
    done = threading.Event()
    results: list[_T] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append(context.run(action, pulse))
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="knit-bounded-call", daemon=True).start()
    try:
        while not done.wait(max(0.05, pulse.left)):
            if pulse.left <= 0:
                raise Stalled
    finally:
        pulse.give_up()
    if errors:
        raise errors[0]
    return results[0]
