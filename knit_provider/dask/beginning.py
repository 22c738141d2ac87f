"""The submission of a cluster's application, which nobody who is interrupted leaves behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from knit_provider.dask.ending import end_application
from knit_provider.yarn.application import Application
from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.threads import begin

log = logging.getLogger(__name__)


class GivenUp(KnitError):
    """The cluster was closed, or its start interrupted, while its application was submitted; none is left."""


class Beginning:
    """The submissions of one cluster, one at a time.

    Who waits for a submission can be interrupted at any moment: by Ctrl-C, a cancelled task, a close. The thread that
    submits cannot. So it looks itself, at the last moment before and again after, whether its application is still
    wanted, and ends what is not. It is a thread of its own: no event loop waits for it, the interpreter's end does.

    Args:
        wanted: False from the moment on at which somebody else wants the cluster no more (default: always True).
    """

    def __init__(self, wanted: Callable[[], bool] | None = None) -> None:
        self._wanted = wanted
        self._given_up = threading.Event()
        self._left: Future[Application] | None = None

    @property
    def given_up(self) -> bool:
        """Whether nobody wants the application any more."""
        return self._given_up.is_set() or (self._wanted is not None and not self._wanted())

    def still_wanted(self) -> bool:
        """The opposite of :attr:`given_up`."""
        return not self.given_up

    def give_up(self) -> None:
        """From now on nothing is submitted, and what is on its way is ended."""
        self._given_up.set()

    def refuse(self) -> None:
        """Do nothing, as long as the application is wanted.

        Raises:
            GivenUp: it is not.
        """
        if self.given_up:
            raise GivenUp("the cluster was closed while it started")

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the cluster is closed."""
        self._given_up.wait(seconds)

    async def run(self, submit: Callable[[], Application]) -> Application:
        """Submit in a thread; being cancelled here does not end that, see :meth:`left`.

        Raises:
            GivenUp: see there.
        """
        self._left = begin(lambda: self._submit(submit), "knit-dask-submit")
        app = await asyncio.wrap_future(self._left)
        self._left = None
        return app

    async def left(self, seconds: float) -> Application | None:
        """The application of a submission that nobody waits for any more; None where there is none, or none yet.

        Args:
            seconds: to wait for one that is on its way. If it takes longer, its thread ends it.
        """
        future = self._left
        if future is None:
            return None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            log.warning("a Dask cluster was closed while its files are uploaded; after that it is given up")
        except Exception as e:
            log.debug("the submission that was on its way: %s", e)
        return None

    def afterwards(self, work: Callable[[], None]) -> bool:
        """Do this when the submission on its way is over; False, without doing it, where there is none."""
        future = self._left
        if future is None or future.done():
            return False
        future.add_done_callback(lambda _: work())
        return True

    def _submit(self, submit: Callable[[], Application]) -> Application:
        try:
            self.refuse()
            app = submit()
            if self.given_up:
                end_application(app, "KILLED", "its Dask cluster was closed while it started")
                log.info("%s was given up while it was submitted, and is ended", app.id)
                self.refuse()
        except BaseException as e:
            if self.given_up and not isinstance(e, GivenUp):
                raise GivenUp("the cluster was closed while it started") from e
            raise
        return app
