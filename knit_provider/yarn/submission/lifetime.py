"""The lifetime of an application that was submitted by REST, where it cannot be part of the submission.

It is set once the ApplicationMaster runs, and not before. To store a changed lifetime the ResourceManager writes the
whole submission, and another of its threads launches the ApplicationMaster out of the same record, which is not guarded
against that (Hadoop's ContainerLaunchContextPBImpl): ApplicationMasters came up without any of their files. Until then,
and for good where the submitting process is gone by then, the ApplicationMaster sees to the lifetime itself.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import ApplicationNotFound, AuthenticationFailed, KnitError, PermissionDenied
from knit_provider.yarn.rest.shapes import FINAL_STATES
from knit_provider.yarn.submission.staging import LIFETIME_FILE

if TYPE_CHECKING:
    from knit_provider.yarn.connection import Connection

log = logging.getLogger(__name__)

_telling: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

# A process that submits and ends waits so long, in all, for its applications to run. In seconds.
_AT_EXIT = 5.0
_FIRST_PAUSE = 0.2
_LAST_PAUSE = 10.0


def set_lifetime_when_running(connection: Connection, app_id: str, seconds: int) -> None:
    """Have YARN told in the background. Ends by itself with the application, and soon after the process wants to end.

    Args:
        connection: the cluster, as the user who submitted.
        app_id: the application.
        seconds: its lifetime, from now.
    """
    expiry = time.monotonic() + seconds
    thread = threading.Thread(
        target=_tell, args=(connection, app_id, expiry), name=f"knit-lifetime-{app_id}", daemon=True
    )
    _telling.add(thread)
    thread.start()


def leave_to_the_masters() -> None:
    """Do not wait for anything when this process ends, which has to be at once; the ApplicationMasters see to it."""
    _telling.clear()


@atexit.register
def _wait_at_exit() -> None:
    until = time.monotonic() + _AT_EXIT
    for thread in list(_telling):
        thread.join(max(0.0, until - time.monotonic()))


def _forget_in_child() -> None:
    # The threads stayed with the parent.
    _telling.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def _tell(connection: Connection, app_id: str, expiry: float) -> None:
    pause = _FIRST_PAUSE
    while (left := expiry - time.monotonic()) > 1:
        try:
            state = connection.api.state(app_id)
            if state in FINAL_STATES:
                return
            if state == "RUNNING":
                connection.api.update_lifetime(app_id, left)
                # Only now: with the file gone, nobody but YARN ends the application.
                connection.files.delete(f"{connection.paths.staging(app_id)}/{LIFETIME_FILE}")
                return
        except ApplicationNotFound:
            return
        except (AuthenticationFailed, PermissionDenied) as e:
            log.warning("%s: YARN was not told of its lifetime, its ApplicationMaster sees to it: %s", app_id, e)
            return
        except KnitError as e:
            log.debug("%s: YARN could not be told of its lifetime yet: %s", app_id, e)
        time.sleep(min(pause, max(left, 0)))
        pause = min(1.5 * pause, _LAST_PAUSE)
