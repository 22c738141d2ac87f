"""Signals that end a command in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_SECONDS = 0.05


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end this command as SIGINT does, so that its application ends at once and not with its lease.

    One that is ignored stays so: ``nohup`` says that the command is to outlive its terminal. None is lost: what a
    handler raises in a finalizer or the callback of a weak reference, as imports and threads that end have them, Python
    throws away; it is raised again a moment later.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def thrown_away(what: UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            hook(what)

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [s for s in ending if signal.getsignal(s) is not signal.SIG_IGN]
    before = {s: signal.signal(s, stop) for s in (*heeded, signal.SIGALRM)}
    hook, sys.unraisablehook = sys.unraisablehook, thrown_away
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for s, handler in before.items():
            signal.signal(s, handler)
