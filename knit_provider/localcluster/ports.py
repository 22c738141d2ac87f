"""Free ports on loopback, kept from other clusters that are starting at the same moment."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from knit_provider.yarn.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
# Below the range that Linux hands out for outgoing connections, so that no such connection sits on a daemon's port
# while the daemon is down between a kill and a restart.
_LOWEST, _HIGHEST = 20000, 32000


class PortPool:
    """Picks ports and holds a claim on each until it is closed.

    A claim is an abstract Unix socket named after the port: it lives in the same network namespace as the port itself,
    belongs to no user's folder, and goes when its process goes.
    """

    def __init__(self, avoid: Iterable[int] = ()) -> None:
        self._claims: list[socket.socket] = []
        self._taken: set[int] = set(avoid)

    def __enter__(self) -> PortPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pick(self, preferred: int | None = None) -> int:
        """Returns a port that nobody listens on and nobody else is about to use.

        Args:
            preferred: taken if it is free.
        """
        if preferred is not None and self._claim(preferred):
            return preferred
        for port in random.sample(range(_LOWEST, _HIGHEST), _HIGHEST - _LOWEST):
            if self._claim(port):
                return port
        raise ConfigurationError(f"No free port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}.")

    def close(self) -> None:
        """Lets go of the claims; the daemons hold the ports by then."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        if port in self._taken:
            return False
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0knit-provider.port.{port}")
        except OSError:
            claim.close()
            return False
        if obstacle(LOOPBACK, port) is not None:
            claim.close()
            return False
        self._claims.append(claim)
        self._taken.add(port)
        return True


def obstacle(host: str, port: int) -> OSError | None:
    """What would keep a daemon from listening there now: ``None`` if nothing would."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does on Linux: connections of an earlier run that linger are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # Linux lets two sockets with that option bind to one port as long as neither listens.
            probe.listen(1)
        except OSError as error:
            return error
    return None


def split_address(address: str, what: str) -> tuple[str, int]:
    """Splits ``host:port``.

    Raises:
        ConfigurationError: it is something else.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ConfigurationError(f"{what} is {address!r}; it has to be host:port.")
    return host, int(port)
