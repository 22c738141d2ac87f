"""The ledger: proof that an application started, and how it ended, for when YARN has forgotten it.

Its ApplicationMaster makes the entry before it launches anything, and adds the outcome at the end. One that was killed
cannot: then the client that sees the end lays the outcome beside the entry, and never changes the entry itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.files.port import Files, RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.submission.staging import Paths

MOST_CONTAINERS = 20_000
"""So many containers an entry lists, the last ones; they take about 5 MB."""

_MAX_BYTES = 16 * 1024 * 1024

END = ".end"
"""What follows the entry's name in that of the outcome that a client has laid beside it."""


@dataclass(frozen=True)
class LedgerContainer:
    """One container of an application that has ended.

    Attributes:
        id: YARN container id.
        service: its service.
        index: its index within the service.
        node: ``host:port`` of its NodeManager.
        node_http: ``host:port`` of that NodeManager's web interface.
        exit_code: its exit code; None where it is not known.
        state: how it ended.
    """

    id: str
    service: str
    index: int
    node: str
    node_http: str
    exit_code: int | None
    state: str

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> LedgerContainer:
        """Read one out of the ledger or a journal."""
        return cls(
            id=str(document["id"]),
            service=str(document.get("service") or ""),
            index=int(document.get("index") or 0),
            node=str(document.get("node") or ""),
            node_http=str(document.get("node_http") or ""),
            exit_code=_number(document.get("exit_code")),
            state=str(document.get("state") or ""),
        )


@dataclass(frozen=True)
class Outcome:
    """How an application ended.

    Attributes:
        final_status: ``SUCCEEDED``, ``FAILED`` or ``KILLED``.
        diagnostics: why.
        exit_code: of the first container that failed, or None.
        finished_ms: when, in ms since the epoch.
        containers: what ran, at most 20,000.
    """

    final_status: str
    diagnostics: str
    exit_code: int | None
    finished_ms: int
    containers: tuple[LedgerContainer, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.final_status == "SUCCEEDED"


@dataclass(frozen=True)
class LedgerEntry:
    """That an application started.

    Attributes:
        application_id: YARN application id.
        submission_id: which submission of that id it was.
        attempt: the attempt that made the entry.
        container_id: that attempt's container.
        started_ms: when, in ms since the epoch.
        outcome: how it ended; None while it runs, and for ever if it ended without a word.
    """

    application_id: str
    submission_id: str
    attempt: int
    container_id: str
    started_ms: int
    outcome: Outcome | None = None


def read_ledger(files: Files, paths: Paths, app_id: str) -> LedgerEntry | None:
    """Read an application's entry.

    Returns:
        The entry; None where there is none, which proves that none of its containers was ever started.

    Raises:
        KnitError: the entry is damaged, which proves nothing but that the application started.
        ClusterUnavailable: the filesystem cannot be asked, which proves nothing at all.
    """
    path = paths.ledger(app_id)
    try:
        content = files.read(path, _MAX_BYTES)
    except RemoteFileNotFound:
        return None
    try:
        entry = _entry(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KnitError(
            f"the ledger entry {path} cannot be read ({error!r}); {app_id} has started, but how it ended is not known"
        ) from error
    return entry if entry.outcome is not None else replace(entry, outcome=_laid_beside(files, path))


def record_end(files: Files, paths: Paths, app_id: str, outcome: Outcome) -> bool:
    """Say how an application ended whose ApplicationMaster was gone before it could; False where that is known.

    Args:
        files: the filesystem.
        paths: the user's folders.
        app_id: the application.
        outcome: by the word of the ResourceManager.

    Raises:
        KnitError: the entry is damaged, or the filesystem cannot be asked.
    """
    entry = read_ledger(files, paths, app_id)
    if entry is None or entry.outcome is not None:
        return False
    folder, _, name = paths.ledger(app_id).rpartition("/")
    outcome = replace(outcome, containers=outcome.containers[-MOST_CONTAINERS:])
    while len(content := json.dumps(asdict(outcome)).encode()) > _MAX_BYTES:
        # Nobody could read it again.
        outcome = replace(outcome, containers=outcome.containers[len(outcome.containers) // 2 + 1 :])
        if not outcome.containers:
            outcome = replace(outcome, diagnostics=outcome.diagnostics[:65_536])
    try:
        files.write_many(folder, {f"{name}{END}": content})
    except RemoteFileExists:
        return False
    return True


def _laid_beside(files: Files, path: str) -> Outcome | None:
    try:
        return _outcome(json.loads(files.read(f"{path}{END}", _MAX_BYTES)))
    except RemoteFileNotFound:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # somebody is writing it at this moment


def _entry(document: Mapping[str, Any]) -> LedgerEntry:
    outcome = document.get("outcome")
    return LedgerEntry(
        application_id=str(document["application_id"]),
        submission_id=str(document["submission_id"]),
        attempt=int(document["attempt"]),
        container_id=str(document["container_id"]),
        started_ms=int(document["started_ms"]),
        outcome=None if outcome is None else _outcome(outcome),
    )


def _outcome(document: Mapping[str, Any]) -> Outcome:
    return Outcome(
        final_status=str(document["final_status"]),
        diagnostics=str(document.get("diagnostics") or ""),
        exit_code=_number(document.get("exit_code")),
        finished_ms=int(document.get("finished_ms") or 0),
        containers=tuple(map(LedgerContainer.from_dict, document.get("containers") or ())),
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
