"""What a wait looks at besides the application: whether anybody still wants it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from prefect.exceptions import CancelledRun

from knit_provider.prefect.page import RunPage
from knit_provider.yarn.report import ApplicationReport

# How long a cancelled flow run is left to end itself, which says more than we could.
CANCEL_GRACE_SECONDS = 30.0


class Watching:
    """Looks at each report on the way: shows its progress, and ends the wait of a run that was cancelled.

    Prefect tells only the main thread that its flow run is cancelled, and only where a runner watches it. So the wait
    asks the server itself.

    Args:
        app_id: the application.
        page: what the Prefect server knows.
        logger: of the run.
        stop: set by somebody who has given the wait up.
        kill: kills the application and logs why.
    """

    def __init__(
        self,
        app_id: str,
        page: RunPage,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        stop: threading.Event,
        kill: Callable[[str], object],
    ) -> None:
        self._app_id = app_id
        self._page = page
        self._logger = logger
        self._stop = stop
        self._kill = kill
        self._state = ""

    def look(self, report: ApplicationReport) -> None:
        """Take one report.

        Raises:
            CancelledRun: the run that waits was cancelled.
        """
        if self._stop.is_set():
            raise CancelledRun(f"the wait for {self._app_id} was given up")
        if report.state != self._state:
            self._state = report.state
            self._logger.info("%s is %s", self._app_id, report.state)
        self._page.show_progress(report)
        if not report.terminal and (state := self._page.cancelled()):
            self._kill(f"the flow run is {state}")
            self._leave()

    def _leave(self) -> None:
        if threading.current_thread() is threading.main_thread():
            # Prefect's runner ends the main thread by a signal, so that the run becomes Cancelled and not Failed.
            until = time.monotonic() + CANCEL_GRACE_SECONDS
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 0.5))
        raise CancelledRun(f"the flow run was cancelled, and with it {self._app_id}")
