"""Signals that end a command."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_SECONDS = 0.05


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as SIGINT does: in order, so that nothing is left that nobody was told of.

    One that is ignored stays so: ``nohup`` says that the command is to outlive its terminal. None is lost: what a
    handler raises in a finalizer or the callback of a weak reference, as imports and threads that end have them, Python
    throws away; it is raised again a moment later. Elsewhere than in the main thread, which alone gets signals, this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def heed(signum: signal.Signals) -> None:
        before[signum] = signal.signal(signum, stop)

    def thrown_away(what: UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            hook(what)
            return
        if signal.SIGALRM not in before:
            heed(signal.SIGALRM)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)

    before: dict[signal.Signals, Any] = {}
    hook, sys.unraisablehook = sys.unraisablehook, thrown_away
    try:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(signum) is not signal.SIG_IGN:
                heed(signum)
        yield
    finally:
        sys.unraisablehook = hook
        if signal.SIGALRM in before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)
