"""Where the time goes: what ResourceManager, NodeManagers and our own ApplicationMaster wrote into their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

_TIME = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.](\d{3}) (.*)$")

# Phases in order: (name, what happens in it). Each ends where the next one begins.
PHASES = (
    ("client", "from the call to the submission's arrival at the ResourceManager"),
    ("am_allocated", "the ResourceManager stores the application and finds a node for the AM"),
    ("am_handed", "the NodeManager is told to start the AM"),
    ("am_localized", "the NodeManager fetches the AM's files out of HDFS"),
    ("am_jvm", "the NodeManager starts the AM's script, and that comes to `java`"),
    ("am_registered", "the AM's JVM boots, loads its classes and registers"),
    ("allocated", "the AM asks, and the ResourceManager finds a node for the container"),
    ("acquired", "the AM's next heartbeat fetches the container"),
    (
        "handed",
        "the AM tells the NodeManager to start it; ours has its ledger and its journal safe in HDFS before that",
    ),
    ("localized", "the NodeManager fetches the container's files out of HDFS"),
    ("running", "the NodeManager writes its launch script, and bash comes to the user's command"),
)


@dataclass(frozen=True)
class Moment:
    """A phase's end, in seconds since the epoch."""

    phase: str
    time: float


class DaemonLogs:
    """The part of the daemons' logs that was written since this object was made."""

    def __init__(self, resource_manager: Path, node_managers: Sequence[Path]) -> None:
        self._rm = resource_manager
        self._nms = list(node_managers)
        self._from = {path: path.stat().st_size for path in (self._rm, *self._nms)}

    def moments(
        self, app_id: str, container_id: str, called: float, command_ran: float, *, am_jvm: float | None = None
    ) -> list[Moment]:
        """How one container of an application came to run.

        Args:
            app_id: the application.
            container_id: the container; the first one where the command ran in the AM's place.
            called: the user's call.
            command_ran: the command's own stamp.
            am_jvm: when the AM's JVM began, where that is known.
        """
        cluster_and_number = app_id.removeprefix("application_")
        am = _first_container(container_id)
        rm = self._events(self._rm, cluster_and_number)
        nm = [event for path in self._nms for event in self._events(path, cluster_and_number)]
        found = [
            Moment("called", called),
            *_first("client", rm, rf"RMAppImpl: {app_id} State change from NEW to"),
            *_first("am_allocated", rm, f"{am} Container Transitioned from NEW to ALLOCATED"),
            *_first("am_handed", nm, f"Container {am} transitioned from NEW to"),
        ]
        if container_id == am:
            found += _first("localized", nm, f"Container {am} transitioned from .*to SCHEDULED")
        else:
            found += [
                *_first("am_localized", nm, f"Container {am} transitioned from .*to SCHEDULED"),
                *([Moment("am_jvm", am_jvm)] if am_jvm else []),
                *_first("am_registered", rm, r"State change from LAUNCHED to RUNNING on event = REGISTERED"),
                *_first("allocated", rm, f"{container_id} Container Transitioned from NEW to ALLOCATED"),
                *_first("acquired", rm, f"{container_id} Container Transitioned from ALLOCATED to ACQUIRED"),
                *_first("handed", nm, f"Container {container_id} transitioned from NEW to"),
                *_first("localized", nm, f"Container {container_id} transitioned from .*to SCHEDULED"),
            ]
        return [*found, Moment("running", command_ran)]

    def _events(self, path: Path, needle: str) -> list[tuple[float, str]]:
        with path.open("rb") as log:
            # A log that was rolled over is read from its beginning.
            log.seek(self._from[path] if self._from[path] <= path.stat().st_size else 0)
            lines = (line.decode(errors="replace") for line in log)
            return list(stamped(line for line in lines if needle in line))


def stamped(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """The lines that begin with a time, as (seconds since the epoch, rest of the line)."""
    for line in lines:
        match = _TIME.match(line)
        if match:
            yield datetime.fromisoformat(match[1]).timestamp() + int(match[2]) / 1000, match[3]


def spans(moments: Sequence[Moment]) -> dict[str, float]:
    """Seconds of each phase. A phase whose end no log tells is part of the next one."""
    return {later.phase: later.time - earlier.time for earlier, later in pairwise(moments)}


def _first(phase: str, events: Iterable[tuple[float, str]], pattern: str) -> list[Moment]:
    regex = re.compile(pattern)
    times = [time for time, text in events if regex.search(text)]
    return [Moment(phase, min(times))] if times else []


def _first_container(container_id: str) -> str:
    return container_id.rpartition("_")[0] + "_000001"
