"""Keeps a bound application alive for as long as this process lives.

A bound application ends when nobody has renewed its lease for ``lease_seconds`` (90 by default). The renewal is a
request to the ApplicationMaster; where its port cannot be reached from here, touching the file ``lease`` in the
staging directory serves as well.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable

from knit_provider.yarn.errors import ClusterUnavailable, KnitError

log = logging.getLogger(__name__)

RENEW_SECONDS = 15.0


class LeaseKeeper:
    """A daemon thread that renews one application's lease every 15 seconds.

    Args:
        app_id: YARN application id, for messages.
        renew: asks the ApplicationMaster; raises a KnitError where it does not answer or cannot be found.
        touch: touches the lease file in staging, the second way.
        ended: says whether the application has reached a terminal state, asked where a refusal may mean that, or when
            both ways have failed.
        interval: seconds between renewals.
    """

    def __init__(
        self,
        app_id: str,
        renew: Callable[[], object],
        touch: Callable[[], object],
        ended: Callable[[], bool],
        *,
        interval: float = RENEW_SECONDS,
    ) -> None:
        self.app_id = app_id
        self.failures = 0
        self._renew = renew
        self._touch = touch
        self._ended = ended
        self._interval = interval
        self._stop = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(
            target=_keep, args=(weakref.ref(self), self._stop, interval), name=f"knit-lease-{app_id}", daemon=True
        )

    def start(self) -> LeaseKeeper:
        """Begin to renew; returns self."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop renewing. The application then ends when its lease runs out, unless the lease was released."""
        self._stop.set()
        if os.getpid() == self._pid and self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    @property
    def alive(self) -> bool:
        """Whether the thread still renews."""
        return self._thread.is_alive() and not self._stop.is_set()

    def renew_once(self) -> bool:
        """Renew by the first way that works; returns False once the application has ended."""
        try:
            self._renew()
            self.failures = 0
            return True
        except ClusterUnavailable as e:
            # Whichever is away, the ApplicationMaster or the ResourceManager that knows where it is: the file serves.
            first: KnitError = e
        except KnitError as e:
            if self._ended():
                return False
            first = e
        try:
            self._touch()
            self.failures = 0
            return True
        except (KnitError, OSError) as e:
            if self._ended():
                return False
            self.failures += 1
            if self.failures in (1, 4):
                log.warning("The lease of %s could not be renewed: %s; %s", self.app_id, first, e)
            return True


def _keep(keeper_ref: weakref.ref[LeaseKeeper], stop: threading.Event, interval: float) -> None:
    # Only a weak reference is held between renewals: when the last user of the handle lets go, the lease ends too.
    while not stop.wait(interval):
        keeper = keeper_ref()
        if keeper is None:
            return
        try:
            if not keeper.renew_once():
                return
        except Exception:
            log.exception("renewing the lease of %s failed", keeper.app_id)
        del keeper
