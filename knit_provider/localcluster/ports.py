"""Free ports on loopback, kept from other clusters that are starting at the same moment."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from knit_provider.yarn.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
# Below the range that Linux hands out for outgoing connections, so that no such connection sits on a daemon's port
# while the daemon is down between a kill and a restart.
_LOWEST, _HIGHEST = 20000, 32000


# The claims that this process holds, by port: one may be handed on to the daemon that the port is for.
_held: dict[int, socket.socket] = {}


class PortPool:
    """Picks ports and holds a claim on each until it is closed.

    A claim is an abstract Unix socket named after the port: it lives in the same network namespace as the port itself,
    belongs to no user's folder, and goes when its process goes.
    """

    def __init__(self, avoid: Iterable[int] = ()) -> None:
        self._claims: dict[int, socket.socket] = {}
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
        for port, claim in self._claims.items():
            _held.pop(port, None)
            claim.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        if port in self._taken:
            return False
        claim = _claim_on(port)
        if claim is None:
            return False
        if obstacle(LOOPBACK, port) is not None:
            claim.close()
            return False
        self._claims[port] = _held[port] = claim
        self._taken.add(port)
        return True


def _claim_on(port: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0knit-provider.port.{port}")
    except OSError:
        claim.close()
        return None
    return claim


@contextmanager
def inherited_claims(ports: Iterable[int]) -> Iterator[list[int]]:
    """Claims to start a daemon with, as file descriptors: its ports stay its own for as long as it lives.

    For one that does not listen from its beginning on. What it does not get is somebody else's port by now, which it
    will find out by itself.
    """
    made: list[socket.socket] = []
    try:
        found = []
        for port in ports:
            claim = _held.get(port)
            if claim is None and (claim := _claim_on(port)) is not None:
                made.append(claim)
            if claim is not None:
                found.append(claim.fileno())
        yield found
    finally:
        for claim in made:
            claim.close()


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
