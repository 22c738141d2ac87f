"""Signals that end a command in order."""

from __future__ import annotations

import signal
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_SECONDS = 0.05


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end this command as SIGINT does, so that its application ends at once and not with its lease.

    One that is ignored stays so: ``nohup`` says that the command is to outlive its terminal. None is lost: what is
    raised where Python throws exceptions away is raised a moment later.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        if _swallows(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        raise KeyboardInterrupt

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [s for s in ending if signal.getsignal(s) is not signal.SIG_IGN]
    before = {s: signal.signal(s, stop) for s in (*heeded, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for s, handler in before.items():
            signal.signal(s, handler)


def _swallows(frame: FrameType | None) -> bool:
    """Whether an exception is ignored here: in a finalizer, or the callback of a weak reference.

    An import has such callbacks, for its locks, and a command begins with many imports.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_filename == weakref.__file__:
            return True
        if code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
