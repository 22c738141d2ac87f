"""How an application is watched: how often it is asked about, and what is put up with meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from knit_provider.yarn.errors import ClusterUnavailable
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.rest.shapes import PENDING_STATES, number
from knit_provider.yarn.waiting import growing_pause


@dataclass(frozen=True)
class Patience:
    """What a watch puts up with.

    Attributes:
        interval: longest time between two looks, in seconds.
        retry_timeout: seconds in a row for which the cluster may be away.
        pending_timeout: seconds that an application may wait for its first container; None: any time.
    """

    interval: float = 10.0
    retry_timeout: float = 300.0
    pending_timeout: float | None = None

    def too_long_pending(self, report: ApplicationReport) -> str | None:
        """A sentence about an application that has waited too long for its first container, else None."""
        if self.pending_timeout is None or report.state not in PENDING_STATES:
            return None
        # By the ResourceManager's clock, so tries, triggerers and their clocks do not matter.
        waited = number(report.raw.get("elapsedTime")) / 1000
        if waited < self.pending_timeout:
            return None
        return (
            f"{report.id} has been {report.state} in queue {report.queue} for {waited:.0f} s (pending_timeout is "
            f"{self.pending_timeout:g} s): {report.diagnostics or 'YARN says no reason'}"
        )


@dataclass
class Pace:
    """When to look next: often at first, then every ``patience.interval`` seconds, give or take a fifth.

    Attributes:
        patience: as given.
        shortest: the shortest pause, in seconds.
    """

    patience: Patience
    shortest: float
    began: float = field(default_factory=time.monotonic)
    trouble_since: float | None = None

    def pause(self) -> float:
        """Seconds until the next look."""
        return growing_pause(time.monotonic() - self.began, self.shortest, self.patience.interval)

    def answered(self) -> None:
        """The cluster answered: whatever was wrong is over."""
        self.trouble_since = None

    def failed(self, error: ClusterUnavailable) -> None:
        """The cluster did not answer; raises ``error`` once that has gone on for too long."""
        now = time.monotonic()
        self.trouble_since = now if self.trouble_since is None else self.trouble_since
        if now - self.trouble_since > self.patience.retry_timeout:
            raise error


def reached(report: ApplicationReport, states: Sequence[str]) -> bool:
    """Whether a report shows one of these states or final statuses."""
    return report.state in states or (report.terminal and report.final_status in states)
