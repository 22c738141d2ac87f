"""Servers that are no ResourceManager."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class BlackHole:
    """Accepts connections and never says a word; with ``greeting`` it says that, whatever it is asked, and hangs up."""

    def __init__(self, greeting: bytes | None = None) -> None:
        self._greeting = greeting
        self._server = socket.create_server(("127.0.0.1", 0))
        self._visited = threading.Event()
        self._visitors: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def wait_for_visitor(self) -> None:
        """Return once somebody has sent something."""
        assert self._visited.wait(60), "nobody came"

    def __enter__(self) -> BlackHole:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for visitor in self._visitors:
            visitor.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self._server.accept()
                self._visitors.append(visitor)
                threading.Thread(target=self._talk, args=(visitor,), daemon=True).start()

    def _talk(self, visitor: socket.socket) -> None:
        with contextlib.suppress(OSError):
            visitor.recv(65536)
            self._visited.set()
            if self._greeting is not None:
                visitor.sendall(self._greeting)
                visitor.close()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
