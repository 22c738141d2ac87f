"""What is known of an application at one moment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knit_provider.yarn.rest.shapes import FINAL_STATES

UNKNOWN = "UNKNOWN"
"""State of an application that the ResourceManager has forgotten and the ledger has no outcome of. Never a failure."""

_EXIT_CODE = re.compile(r"\bexit(?:ed with)?(?: code)? (-?\d+)\b")


@dataclass(frozen=True)
class ApplicationReport:
    """One application as the ResourceManager (or, once that has forgotten it, the ledger) reports it.

    Attributes:
        id: YARN application id.
        state: NEW, NEW_SAVING, SUBMITTED, ACCEPTED, RUNNING, FINISHED, FAILED, KILLED, or UNKNOWN.
        final_status: UNDEFINED until the end, then SUCCEEDED, FAILED or KILLED.
        diagnostics: why it ended, or what it waits for.
        exit_code: exit code of the first container that failed, where the ledger has it.
        timed_out: it ended because its YARN lifetime ran out.
        raw: the ResourceManager's own dict.
    """

    id: str
    state: str
    final_status: str = "UNDEFINED"
    diagnostics: str = ""
    name: str = ""
    user: str = ""
    queue: str = ""
    application_type: str = ""
    tags: tuple[str, ...] = ()
    progress: float = 0.0
    tracking_url: str = ""
    am_host: str = ""
    am_port: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    running_containers: int = 0
    log_aggregation: str = ""
    exit_code: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES

    @property
    def succeeded(self) -> bool:
        """Whether YARN's final status is SUCCEEDED."""
        return self.terminal and self.final_status == "SUCCEEDED"

    @property
    def killed(self) -> bool:
        """Whether it was killed: by somebody, by its lease or by its lifetime."""
        return self.terminal and (self.state == "KILLED" or self.final_status == "KILLED")

    @property
    def timed_out(self) -> bool:
        """Whether its YARN lifetime ran out (the ResourceManager then kills it and says so in the diagnostics)."""
        return self.killed and "LIFETIME" in self.diagnostics.upper()

    @classmethod
    def from_rm(cls, app: Mapping[str, Any], exit_code: int | None = None) -> ApplicationReport:
        """Read one item of the ResourceManager's ``/ws/v1/cluster/apps``."""
        host, port = _split_address(str(app.get("amRPCAddress") or ""))
        tags = str(app.get("applicationTags") or "")
        return cls(
            id=str(app["id"]),
            state=str(app.get("state", UNKNOWN)),
            final_status=str(app.get("finalStatus", "UNDEFINED")),
            diagnostics=str(app.get("diagnostics") or "").strip(),
            name=str(app.get("name", "")),
            user=str(app.get("user", "")),
            queue=str(app.get("queue", "")),
            application_type=str(app.get("applicationType", "")),
            tags=tuple(t for t in tags.split(",") if t),
            progress=_number(app.get("progress")),
            tracking_url=str(app.get("trackingUrl") or ""),
            am_host=host,
            am_port=port,
            started_ms=int(_number(app.get("startedTime"))),
            finished_ms=int(_number(app.get("finishedTime"))),
            running_containers=max(0, int(_number(app.get("runningContainers")))),
            log_aggregation=str(app.get("logAggregationStatus") or ""),
            exit_code=exit_code,
            raw=dict(app),
        )


def exit_code_in(diagnostics: str) -> int | None:
    """The first container exit code that an ApplicationMaster's diagnostics name, or None."""
    found = _EXIT_CODE.search(diagnostics)
    return int(found.group(1)) if found else None


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or host in ("N/A", "null"):
        return "", 0
    return host.strip("[]"), int(port)
