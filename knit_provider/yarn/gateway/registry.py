"""The gateways of this process: one JVM for each cluster and user, shared by all who need it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from typing import Any

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.gateway import archive, command
from knit_provider.yarn.gateway.client import DEADLINE, Client
from knit_provider.yarn.gateway.process import GatewayProcess, after_fork_in_child
from knit_provider.yarn.gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)

LINGER = 60.0  # seconds that an unused JVM is kept for whoever comes next
MOST_UNUSED = 4  # JVMs kept so: a process that acts for many users would else hold one of 120 MB for each


class Gateway:
    """A gateway that runs when it is needed: started by the first call, and again by the next one after it died.

    Thread-safe. After a fork the child's first call starts a JVM of its own.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.users = 0
        self.unused_since = 0.0
        self._lock = threading.Lock()
        self._process: GatewayProcess | None = None
        self._client: Client | None = None
        _living.add(self)

    @property
    def pid(self) -> int | None:
        """Process id of the JVM, or ``None`` while there is none."""
        process = self._process
        return process.pid if process is not None and process.alive else None

    def call(self, method: str, deadline: float = DEADLINE, **arguments: Any) -> Any:
        """See :meth:`knit_provider.yarn.gateway.client.Client.call`."""
        return self._running().call(method, deadline, **arguments)

    def start(self) -> None:
        """Start the JVM unless it runs."""
        self._running()

    def close(self) -> None:
        """End the JVM. A later call starts another."""
        with self._lock:
            self._drop()

    def forget(self) -> None:
        """In a forked child: let go of the parent's JVM."""
        self._lock = threading.Lock()
        if self._client is not None:
            self._client.forget()
        self._client = self._process = None

    def _running(self) -> Client:
        with self._lock:
            if self._client is not None and self._process is not None and self._process.alive:
                return self._client
            self._drop()
            self._process = process = self._start()
            self._client = Client(process.port, process.token, lambda: _bury(process))
            return self._client

    def _start(self) -> GatewayProcess:
        launch = command.build(self.settings)
        try:
            return GatewayProcess(launch, command.handshake(self.settings, launch))
        except ClusterUnavailable:
            # It died without a word of its own. A damaged class archive can do that; it is only a cache.
            if not archive.forget(launch.argv):
                raise
        launch = command.build(self.settings)
        return GatewayProcess(launch, command.handshake(self.settings, launch))

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._process is not None:
            self._process.close()
        self._client = self._process = None


class Lease:
    """A share in a gateway. Close it, or let it go out of scope, once the gateway is not needed any more."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._release = weakref.finalize(self, _release, gateway)
        # At the end of the interpreter the process module ends all JVMs itself.
        self._release.atexit = False

    def close(self) -> None:
        """Give the share back."""
        self._release()


_living: weakref.WeakSet[Gateway] = weakref.WeakSet()
_gateways: dict[GatewaySettings, Gateway] = {}
_lock = threading.RLock()  # reentrant: a collected Lease may be released while this thread holds it


def acquire(settings: GatewaySettings) -> Lease:
    """A share in the gateway with these settings. Nothing is started yet."""
    with _lock:
        gateway = _gateways.get(settings)
        if gateway is None:
            gateway = _gateways[settings] = Gateway(settings)
        gateway.users += 1
    return Lease(gateway)


def prestart(settings: GatewaySettings) -> None:
    """Begin to start a gateway in the background, for a call that will come soon. What fails here fails again there."""

    def start(lease: Lease) -> None:
        with contextlib.suppress(KnitError, OSError):
            lease.gateway.start()
        lease.close()

    threading.Thread(target=start, args=(acquire(settings),), name="knit-gateway-start", daemon=True).start()


def _release(gateway: Gateway) -> None:
    with _lock:
        gateway.users -= 1
        if gateway.users > 0 or gateway.pid is None:
            return
        gateway.unused_since = time.monotonic()
        _close_later(gateway, LINGER)
        unused = [g for g in _gateways.values() if g.users <= 0 and g.pid is not None]
        for surplus in sorted(unused, key=lambda g: g.unused_since)[:-MOST_UNUSED]:
            _close_later(surplus, 0)


def _close_later(gateway: Gateway, seconds: float) -> None:
    timer = threading.Timer(seconds, _close_unused, (gateway,))
    timer.daemon = True
    timer.start()


def _close_unused(gateway: Gateway) -> None:
    with _lock:
        if gateway.users > 0:
            return
        _gateways.pop(gateway.settings, None)
    gateway.close()


def _forget_all() -> None:
    global _lock
    _lock = threading.RLock()
    for gateway in list(_living):
        gateway.forget()


def _bury(process: GatewayProcess) -> str:
    """End a JVM that does not talk to us any more, and say how it ended."""
    ending = process.end_now()
    words = process.last_words()
    return f"(process {process.pid}) {ending}" + (f", with the last words:\n{words}\n" if words else "")


after_fork_in_child(_forget_all)
