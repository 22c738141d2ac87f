"""The moment at which the ResourceManager gets an application, and what is undone where that does not come about."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from knit_provider.yarn.bridge.base import Submission, SubmissionUncertain
from knit_provider.yarn.errors import ApplicationNotFound, KnitError, SubmissionRejected
from knit_provider.yarn.submission.staging import remove_staging

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)


def hand_over(connection: Connection, submission: Submission, owned_by_caller: bool) -> None:
    """Submit; an answer that was lost is looked up.

    Args:
        connection: the cluster, as one user.
        submission: what to submit.
        owned_by_caller: whether somebody knows the id, who can end what an interruption leaves running.

    Raises:
        KnitError: it was refused, or the cluster is away.
    """
    app_id = submission.application_id
    try:
        connection.bridge.submit(submission)
    except SubmissionUncertain as e:
        try:
            state = connection.api.status(app_id)["state"]
        except ApplicationNotFound:
            raise SubmissionRejected(f"{app_id} was not submitted: {e}") from e
        log.warning(
            "%s: the answer to the submission was lost (%s); the ResourceManager has it as %s", app_id, e, state
        )
    except (KnitError, OSError):
        raise
    except BaseException:
        # Interrupted while the ResourceManager may have it. Nobody would ever learn an id that was made here.
        if not owned_by_caller:
            _end_quietly(connection, app_id)
        raise


def undo(connection: Connection, app_id: str, cause: BaseException) -> None:
    """Leave nothing of a submission that did not come about."""
    try:
        connection.api.status(app_id)
        if not isinstance(cause, SubmissionRejected):
            return
    except ApplicationNotFound:
        pass
    except KnitError as e:
        log.warning(
            "whether %s reached the ResourceManager is unknown (%s); its staging is left for the sweep", app_id, e
        )
        return
    try:
        remove_staging(connection.files, connection.paths, app_id)
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
