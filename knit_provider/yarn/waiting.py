"""How often to ask while waiting for something."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field


def growing_pause(waited: float, shortest: float, longest: float) -> float:
    """Seconds to pause after having waited so long: a tenth of that between the two, give or take 20 %."""
    return min(longest, max(shortest, waited / 10)) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


@dataclass
class Backoff:
    """Sleeps that grow with the time already waited, with jitter, and end at a deadline.

    Short waits are noticed soon and long ones cost the ResourceManager little: the pause is a tenth of the time waited
    so far, between ``shortest`` and ``longest`` seconds, give or take 20 %.
    """

    deadline: float | None
    shortest: float = 0.1
    longest: float = 2.0
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def for_waiting(cls, timeout: float | None, *, shortest: float = 0.1, longest: float = 2.0) -> Backoff:
        """A backoff that gives up ``timeout`` seconds from now; None never gives up."""
        return cls(None if timeout is None else time.monotonic() + timeout, shortest, longest)

    @property
    def waited(self) -> float:
        """Seconds since this began."""
        return time.monotonic() - self.started

    def sleep(self) -> bool:
        """Pause; returns False, without pausing, once the deadline has been reached."""
        pause = growing_pause(self.waited, self.shortest, self.longest)
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                return False
            pause = min(pause, left)
        time.sleep(pause)
        return True
