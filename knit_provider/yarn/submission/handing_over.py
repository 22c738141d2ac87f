"""The moment at which the ResourceManager gets an application, and what is undone where that does not come about."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from knit_provider.yarn.bridge.base import Submission, SubmissionUncertain
from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, KnitError, SubmissionRejected
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.rest.shapes import FINAL_STATES
from knit_provider.yarn.submission.ledger import read_ledger
from knit_provider.yarn.submission.staging import later_submissions
from knit_provider.yarn.waiting import Backoff

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

# A ResourceManager that is lost is replaced, or starts again, within 10 s or so, and then has to read what was known.
_TAKEOVER_SECONDS = 60.0


def submitted_before(connection: Connection, app_id: str) -> bool:
    """Whether this id was submitted already.

    Raises:
        SubmissionRejected: the ResourceManager has forgotten it, and the ledger says that it ran: submitting it again
            would run it again.
    """
    try:
        connection.api.status(app_id)
        return True
    except ApplicationNotFound:
        pass
    entry = read_ledger(connection.files, connection.paths, app_id)
    if entry is None:
        return False
    ended = f"it ended {entry.outcome.final_status}" if entry.outcome else "how it ended is unknown"
    raise SubmissionRejected(
        f"{app_id} has run already ({connection.paths.ledger(app_id)}): {ended}. It is not submitted again; ask for "
        "a new id with new_application() to run the same once more"
    )


def hand_over(connection: Connection, submission: Submission, owned_by_caller: bool) -> None:
    """Submit; an answer that was lost is looked up.

    Args:
        connection: the cluster, as one user.
        submission: what to submit.
        owned_by_caller: whether somebody knows the id, who can end what an interruption leaves running.

    Raises:
        SubmissionRejected: it was refused.
        SubmissionUncertain: whether the ResourceManager has it could not be found out; names the id.
        KnitError: it was not submitted.
    """
    app_id = submission.application_id
    try:
        for tries_left in (1, 0):
            try:
                connection.bridge.submit(submission)
                return
            except SubmissionUncertain as e:
                try:
                    state = _state_after(connection, app_id)
                except KnitError as away:
                    raise _unknown(app_id, e, away) from e
                if state is not None:
                    log.warning(
                        "%s: the answer to the submission was lost (%s); the ResourceManager has it as %s",
                        app_id,
                        e,
                        state,
                    )
                    return
                # One that dies says "accepted" to what it has not stored yet, and who takes over never heard of it.
                if not tries_left:
                    raise ClusterUnavailable(f"{app_id} was not submitted: {e}") from e
                # Had it run all the same and been forgotten since, the ledger would say so.
                try:
                    submitted_before(connection, app_id)
                except SubmissionRejected:
                    raise
                except KnitError as away:
                    raise _unknown(app_id, e, away) from e
                log.warning("%s: no ResourceManager has it (%s); submitting it again under the same id", app_id, e)
    except (KnitError, OSError):
        raise
    except BaseException:
        # Interrupted while the ResourceManager may have it. Nobody would ever learn an id that was made here.
        if not owned_by_caller:
            _end_quietly(connection, app_id)
        raise


def _state_after(connection: Connection, app_id: str) -> str | None:
    """The application's state by the word of an active ResourceManager; None if that does not have it.

    Where there are several, one of them may be about to take over; where there is one, it may be starting again.

    Raises:
        KnitError: none answers, or none to us.
    """
    takeover = Backoff.for_waiting(_TAKEOVER_SECONDS, shortest=0.3)
    while True:
        try:
            return str(connection.api.status(app_id)["state"])
        except ApplicationNotFound:
            return None
        except ClusterUnavailable:
            if not takeover.sleep():
                raise


def _unknown(app_id: str, lost: SubmissionUncertain, away: KnitError) -> SubmissionUncertain:
    return SubmissionUncertain(
        f"whether {app_id} was submitted is unknown: {lost}; and it could not be looked up: {away}. Look: "
        f"knit status {app_id}; with app_id={app_id!r} the same can be submitted again, and runs once at most",
        app_id=app_id,
    )


def is_only(connection: Connection, app_id: str) -> bool:
    """Whether no other submission of the id can have come first: each leaves its files before it submits."""
    try:
        return not later_submissions(connection.files, connection.paths, app_id)
    except RemoteFileNotFound:
        return True
    except KnitError as e:
        log.debug("whether %s was submitted more than once: %s", app_id, e)
        return False


def undo(connection: Connection, app_id: str, cause: BaseException, folder: str) -> None:
    """Leave nothing of a submission that did not come about.

    Args:
        connection: the cluster, as one user.
        app_id: the id.
        cause: why it did not.
        folder: what it has staged into: the application's folder or one below; empty for none. What another submission
            of the same id has there is left alone.
    """
    whole = connection.paths.staging(app_id)
    try:
        state = str(connection.api.status(app_id).get("state"))
        if not isinstance(cause, SubmissionRejected) or state not in FINAL_STATES:
            return
        folder = whole
    except ApplicationNotFound:
        if folder == whole and not is_only(connection, app_id):
            folder = ""
    except KnitError as e:
        log.warning(
            "whether %s reached the ResourceManager is unknown (%s); its staging is left for the sweep", app_id, e
        )
        return
    try:
        if folder:
            connection.files.delete(folder, recursive=True)
    except KnitError as e:
        log.warning("the staging of %s could not be removed: %s; `knit prune` will", app_id, e)


def _end_quietly(connection: Connection, app_id: str) -> None:
    def end() -> None:
        try:
            connection.api.kill(app_id)
        except KnitError as e:
            log.warning("%s was interrupted while it was submitted and could not be ended: %s", app_id, e)

    thread = threading.Thread(target=end, name=f"knit-end-{app_id}")
    thread.start()
    thread.join(timeout=15)
