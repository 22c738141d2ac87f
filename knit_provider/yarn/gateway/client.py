"""Calls into the gateway: JSON in, JSON out, over py4j's protocol on loopback.

Of py4j only the protocol is used. Its client writes every command to the log at DEBUG level, token and secrets with it,
and sends a command again when the connection breaks, which must not happen to a submission.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Callable
from typing import Any

from py4j import protocol

from knit_provider.yarn.errors import ClusterUnavailable, KnitError
from knit_provider.yarn.gateway.errors import to_error, uncertain

DEADLINE = 60.0  # seconds that a call has, unless it says otherwise
_SLICE = 20.0  # seconds after which the gateway answers at the latest, if only to say that it is still at it
SILENCE = _SLICE + 40.0  # seconds without any answer, after which the JVM counts as hung
_CANCEL_TIMEOUT = 2.0


class Connection:
    """One authenticated socket. It is used by one thread at a time."""

    def __init__(self, port: int, token: str, timeout: float) -> None:
        """Connect.

        Raises:
            OSError: nobody listens, or the token was refused.
        """
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._rest = b""
            answer = self._exchange(f"{protocol.AUTH_COMMAND_NAME}\n{token}\n")
            if not answer.startswith(protocol.SUCCESS):
                raise ConnectionRefusedError("the gateway refused the token")
        except BaseException:
            self.close()
            raise

    def call(self, method: str, arguments: str) -> str:
        """``entry_point.call(method, arguments)``.

        Raises:
            OSError: the connection broke, or stayed silent.
        """
        answer = self._exchange(
            protocol.CALL_COMMAND_NAME
            + protocol.ENTRY_POINT_OBJECT_ID
            + "\ncall\n"
            + protocol.get_command_part(method)
            + protocol.get_command_part(arguments)
            + protocol.END_COMMAND_PART
        )
        if not answer.startswith(protocol.SUCCESS + protocol.STRING_TYPE):
            raise KnitError(f"The gateway answered something that is not a text: {answer[:300]!r}")
        return str(protocol.unescape_new_line(answer[2:]))

    def close(self) -> None:
        """Close our side. No shutdown: after a fork that would cut the parent's connection, too."""
        self._socket.close()

    def _exchange(self, command: str) -> str:
        self._socket.sendall(command.encode())
        chunks = [self._rest]
        while b"\n" not in chunks[-1]:
            chunk = self._socket.recv(1 << 18)
            if not chunk:
                raise ConnectionResetError("the gateway closed the connection")
            chunks.append(chunk)
        line, _, self._rest = b"".join(chunks).partition(b"\n")
        return line.decode()[1:]  # the first letter says that this is an answer


class Client:
    """Calls one gateway JVM, from any number of threads.

    Args:
        port: where it listens.
        token: what it wants to hear first.
        bury: called once it does not answer any more; ends what is left of it and says in words how it ended.
        silence: seconds without any answer, after which it counts as hung.
    """

    def __init__(self, port: int, token: str, bury: Callable[[], str], silence: float = SILENCE) -> None:
        self._port = port
        self._token = token
        self._bury = bury
        self._silence = silence
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def call(self, method: str, deadline: float = DEADLINE, **arguments: Any) -> Any:
        """Call a method of the gateway and wait for its value.

        Args:
            method: its name.
            deadline: seconds. For transfers of files and logs they count from the last byte that moved.
            arguments: go into JSON.

        Raises:
            KnitError: as the gateway says, or ``ClusterUnavailable`` where the JVM is gone.
        """
        application_id = arguments.get("application_id")
        call_id = uuid.uuid4().hex
        request = json.dumps({**arguments, "deadline_ms": max(1, int(deadline * 1000)), "call": call_id})
        answer = self._ask(method, request, call_id, application_id)
        while "pending" in answer:
            answer = self._ask("call.wait", json.dumps({"call": call_id}), call_id, application_id, of=method)
        if answer.get("ok"):
            return answer.get("value")
        raise to_error(answer["error"], application_id)

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def forget(self) -> None:
        """In a forked child: close our copies. The lock may be held by a thread that exists only in the parent."""
        self._lock = threading.Lock()
        self.close()

    def _ask(
        self, method: str, request: str, call_id: str, application_id: str | None, of: str | None = None
    ) -> dict[str, Any]:
        connection: Connection | None = None
        try:
            connection = self._take()
            answer = connection.call(method, request)
        except (ConnectionError, TimeoutError) as error:
            if connection is not None:
                connection.close()
            raise self._loss(of or method, error, application_id) from error
        except BaseException:
            # Ctrl-C above all: nobody waits for that call any more.
            if connection is not None:
                connection.close()
            self._cancel(call_id)
            raise
        with self._lock:
            self._idle.append(connection)
        return dict(json.loads(answer))

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Connection(self._port, self._token, self._silence)

    def _cancel(self, call_id: str) -> None:
        with contextlib.suppress(OSError, KnitError):
            connection = Connection(self._port, self._token, _CANCEL_TIMEOUT)
            try:
                connection.call("call.cancel", json.dumps({"call": call_id}))
            finally:
                connection.close()

    def _loss(self, method: str, error: OSError, application_id: str | None) -> KnitError:
        ending = self._bury()
        what = f"did not answer for {self._silence:.0f} s and {ending}" if isinstance(error, TimeoutError) else ending
        message = f"The gateway JVM {what} during {method}. The next call starts a new one."
        if method == "submit":
            return uncertain(message, application_id or "")
        return ClusterUnavailable(message)
