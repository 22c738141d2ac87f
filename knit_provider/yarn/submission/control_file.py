"""Where whoever attaches to an application reads what controls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit_provider.yarn.control import ControlCredentials
from knit_provider.yarn.errors import ApplicationMasterUnreachable
from knit_provider.yarn.submission.ledger import read_ledger
from knit_provider.yarn.submission.staging import CONTROL_FILE, later_submissions

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection


def control_file(connection: Connection, app_id: str) -> str:
    """Full URI of the ``control.json`` of the submission that runs.

    An id that was submitted by several tries has several. Which of them YARN took is what its ApplicationMaster has put
    into the ledger.

    Raises:
        RemoteFileNotFound, PermissionDenied: there is no folder of the application, or it is not ours to look into.
        ApplicationMasterUnreachable: which of several it is, is not known yet.
    """
    folder = connection.paths.staging(app_id)
    later = later_submissions(connection.files, connection.paths, app_id)
    if later:
        entry = read_ledger(connection.files, connection.paths, app_id)
        if entry is None:
            raise ApplicationMasterUnreachable(
                f"{app_id} was submitted more than once, and its ApplicationMaster has not come up at any host:port "
                "that would say which submission runs; ask again"
            )
        if entry.submission_id in later:
            folder = f"{folder}/{entry.submission_id}"
    return f"{folder}/{CONTROL_FILE}"


def read_control(connection: Connection, app_id: str) -> ControlCredentials:
    """Read what controls an application.

    Raises:
        RemoteFileNotFound, PermissionDenied, ApplicationMasterUnreachable: as :func:`control_file`.
        KnitError: it is damaged.
    """
    path = control_file(connection, app_id)
    return ControlCredentials.from_json(connection.files.read(path), path)
