"""What the Prefect server keeps of an application: its id, a link to it, its progress, how it ended."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort

from knit_provider.prefect.identity import Kept

if TYPE_CHECKING:
    from knit_provider.prefect.caller import Caller
    from knit_provider.yarn.report import ApplicationReport

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 5.0
STATE_SECONDS = 10.0
_MOST_ROWS = 100
_PAGE, _MOST_PAGES = 200, 10
_T = TypeVar("_T")


class RunPage:
    """The artifacts of one application in one run.

    They are for people, and for a later try that looks for an earlier one's id. An application goes on without: where
    the server does not take one, that is warned of once.

    Not the functions of ``prefect.artifacts``, which return coroutines wherever the run around them is async, whoever
    calls them.

    Args:
        caller: the run. Outside of a flow run nothing is kept.
        app_name: the application's name, for the artifacts' keys.
        logger: for warnings.
    """

    def __init__(
        self, caller: Caller, app_name: str, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self._caller = caller
        self._logger = logger
        self._name = app_name
        slug = re.sub(r"[^a-z0-9]+", "-", app_name.lower()).strip("-")[:60] or "application"
        self._key = f"yarn-{slug}"
        self._client = get_client(sync_client=True) if caller.flow_run_id else None
        self._warned = False
        self._progress_id: UUID | None = None
        self._progress_at = 0.0
        self._progress = -1.0
        self._state_at = time.monotonic()

    def __enter__(self) -> RunPage:
        if self._client is not None:
            self._client.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.__exit__(kind, value, traceback)

    # -- identity -----------------------------------------------------------------------------------------------

    def kept(self) -> list[Kept]:
        """What earlier tries of this call kept, the latest first."""
        found: list[Kept] = []
        for page in range(_MOST_PAGES):
            links = self._ask(partial(self._links, page * _PAGE)) or []
            for link in links:
                kept = _kept_in(link.metadata_ or {}, self._caller.call)
                if kept is not None:
                    found.append(kept)
            if len(links) < _PAGE:
                break
        return found

    def keep(self, kept: Kept, url: str) -> None:
        """Keep an application's id and show the link; called before it is submitted."""
        self._create(
            self._key,
            "markdown",
            f"[{kept.app_id}]({url})" if url else kept.app_id,
            f"The application **{self._name}** on YARN.",
            {
                "app_id": kept.app_id,
                "call": self._caller.call,
                "job": kept.job,
                "task_run": kept.task_run_id or "",
                "attempt": str(kept.attempt),
                "position": str(kept.position),
            },
        )

    def _links(self, offset: int, client: Any) -> Any:
        return client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(self._caller.flow_run_id))]),
                key=ArtifactFilterKey(any_=[self._key]),
            ),
            sort=ArtifactSort.CREATED_DESC,
            limit=_PAGE,
            offset=offset,
        )

    # -- while it runs ------------------------------------------------------------------------------------------

    def cancelled(self, *, now: bool = False) -> str | None:
        """What has become of the flow run, where somebody has ended it; looked at every 10 s.

        Args:
            now: look in any case.
        """
        if self._client is None or (not now and time.monotonic() - self._state_at < STATE_SECONDS):
            return None
        self._state_at = time.monotonic()
        state: State | None = self._ask(lambda client: client.read_flow_run(UUID(self._caller.flow_run_id)).state)
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            return str(state.name)
        return None

    def show_progress(self, report: ApplicationReport) -> None:
        """Show the ResourceManager's figure; at most every 5 s, and at the end."""
        done = report.progress if not report.succeeded else 100.0
        due = report.terminal or time.monotonic() - self._progress_at >= PROGRESS_SECONDS
        if self._client is None or done == self._progress or not due:
            return
        self._progress, self._progress_at = done, time.monotonic()
        progress_id = self._progress_id
        if progress_id is None:
            self._progress_id = self._create(
                f"{self._key}-progress", "progress", done, f"Progress of {report.id} ({self._name})"
            )
        else:
            self._ask(lambda client: client.update_artifact(progress_id, ArtifactUpdate(data=done)))

    def show_summary(
        self, report: ApplicationReport, url: str, containers: Sequence[Mapping[str, Any]], tail: Sequence[str]
    ) -> None:
        """Show how it ended."""
        self._create(
            f"{self._key}-summary",
            "markdown",
            summary(report, url, containers, tail),
            f"{report.id} ({self._name}) ended {report.final_status}.",
        )

    def _create(
        self, key: str, kind: str, data: Any, description: str, metadata: dict[str, str] | None = None
    ) -> UUID | None:
        artifact = self._ask(
            lambda client: client.create_artifact(
                ArtifactCreate(
                    key=key,
                    type=kind,
                    data=data,
                    description=description,
                    metadata_=metadata,
                    flow_run_id=self._caller.flow_run_id,
                    task_run_id=self._caller.task_run_id,
                )
            )
        )
        return artifact.id if artifact is not None else None

    def _ask(self, call: Callable[[Any], _T]) -> _T | None:
        if self._client is None:
            return None
        try:
            return call(self._client)
        except Exception as e:
            if not self._warned:
                self._warned = True
                self._logger.warning(
                    "The Prefect server keeps no notes about the application: %s: %s", type(e).__name__, e
                )
            return None


def _kept_in(metadata: Mapping[str, str], call: str) -> Kept | None:
    if metadata.get("call") != call or not metadata.get("app_id"):
        return None
    return Kept(
        metadata["app_id"],
        metadata.get("job", ""),
        metadata.get("task_run") or None,
        int(metadata.get("attempt", "0")),
        int(metadata.get("position", "0")),
    )


def summary(report: ApplicationReport, url: str, containers: Sequence[Mapping[str, Any]], tail: Sequence[str]) -> str:
    """An application that has ended, as markdown."""
    seconds = max(0, report.finished_ms - report.started_ms) / 1000 if report.started_ms else 0
    lines = [
        f"# {_cell(report.name or report.id)}: {report.final_status}",
        "",
        # As the table's head, which markdown cannot do without.
        f"| application | {f'[{report.id}]({url})' if url else report.id} |",
        "|---|---|",
        f"| state | {report.state} |",
        f"| queue | {_cell(report.queue)} |",
        f"| user | {_cell(report.user)} |",
        f"| time | {seconds:.1f} s |",
    ]
    if containers:
        lines += ["", "| container | service | index | state | exit code | node |", "|---|---|---|---|---|---|"]
        for c in containers[:_MOST_ROWS]:
            cells = (c.get(key) for key in ("id", "service", "index", "state", "exit_code", "node"))
            lines.append("| " + " | ".join("" if cell is None else _cell(cell) for cell in cells) + " |")
        if len(containers) > _MOST_ROWS:
            lines += ["", f"and {len(containers) - _MOST_ROWS} more."]
    if report.diagnostics:
        lines += ["", "## Diagnostics", "", *_quoted(report.diagnostics.splitlines())]
    if tail:
        lines += ["", "## Last lines of stderr", "", *_quoted(tail)]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _quoted(lines: Sequence[str]) -> list[str]:
    # As an indented block, which no text can end from within.
    return [f"    {line}" for line in lines[-200:]]
