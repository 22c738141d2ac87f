"""Waiting for what a cluster does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(what: Callable[[], Any], *, seconds: float = 60, every: float = 0.2) -> Any:
    """The first true value that ``what`` gives."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > deadline:
            assert value, f"{what} stayed {value!r} for {seconds} s"
            return value
        time.sleep(every)
