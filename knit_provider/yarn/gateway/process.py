"""The gateway JVM as a process: starting it, shaking hands, its last words, its end."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import secrets
import select
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Any

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError
from knit_provider.yarn.gateway.command import Launch

logger = logging.getLogger(__name__)

START_TIMEOUT = 60.0  # seconds; a cold start takes one, on a machine that swaps many times that
_CLOSE_GRACE = 4.0  # seconds for a clean end after the pipe was closed
_LAST_WORDS = 60  # lines of standard error that are kept
_MOST_SAID = 1 << 20  # bytes of standard output before the handshake

# Every process of this interpreter, for the end of the interpreter and for forks.
_living: weakref.WeakSet[GatewayProcess] = weakref.WeakSet()


class GatewayProcess:
    """A running gateway JVM.

    It listens on loopback and wants :attr:`token` on every connection. The token goes to it through its standard input,
    so that no argument, environment or file ever holds it. That pipe is also its lifeline: the JVM ends when it closes.

    Attributes:
        port: where it listens on 127.0.0.1.
        token: 256 random bits as hex digits.
        hadoop: version of Hadoop's classes in it.
        java: version of the Java that runs it.
    """

    def __init__(self, launch: Launch, handshake: Mapping[str, Any]) -> None:
        """Start a JVM and wait until it listens.

        Args:
            launch: the command line.
            handshake: what it is told on its first line, without the token.

        Raises:
            ConfigurationError: it said why it cannot start.
            ClusterUnavailable: it ended, or stayed silent for :data:`START_TIMEOUT`.
        """
        self.token = secrets.token_hex(32)
        self._owner = os.getpid()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=launch.environment,
                # Raw streams: a buffered one has a lock, which a fork at the wrong moment leaves taken for ever.
                bufsize=0,
                # Ctrl-C in the terminal is for us: a JVM killed by it could not even cancel what it is doing.
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(f"The gateway JVM cannot be started: {launch.argv[0]}: {error}") from error
        _living.add(self)
        self._listener = threading.Thread(target=self._listen, name=f"knit-gateway-stderr-{self.pid}", daemon=True)
        self._listener.start()
        try:
            answer = self._shake_hands(handshake)
        except BaseException:
            self.close()
            raise
        self.port = int(answer["port"])
        self.hadoop = str(answer["hadoop"])
        self.java = str(answer["java"])
        logger.debug("Gateway JVM %d: Hadoop %s on Java %s, port %d", self.pid, self.hadoop, self.java, self.port)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, and is ours: after a fork the child has none."""
        return self._owner == os.getpid() and self._process.poll() is None

    def end_now(self) -> str:
        """Kill it if it still runs, and say how it ended, such as ``"was killed by SIGKILL"``."""
        try:
            # Its sockets close a moment before it can be waited for.
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return "was ended because it hung"
        return self._ending

    @property
    def _ending(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def last_words(self, lines: int = 15) -> str:
        """The last lines it wrote to standard error."""
        if self._process.poll() is not None:
            self._listener.join(1.0)
        return "\n".join(list(self._words)[-lines:])

    def close(self) -> None:
        """End it. Returns when it is gone. In a forked child this does nothing: the JVM is the parent's."""
        if self._owner != os.getpid():
            return
        with self._lock:
            with contextlib.suppress(OSError):
                _stream(self._process.stdin).close()
            try:
                self._process.wait(_CLOSE_GRACE)
            except subprocess.TimeoutExpired:
                logger.warning("Gateway JVM %d does not end by itself and is killed", self.pid)
                self._process.kill()
                self._process.wait()
            _stream(self._process.stdout).close()
            self._listener.join(1.0)
            if not self._listener.is_alive():
                _stream(self._process.stderr).close()

    def forget(self) -> None:
        """In a forked child: close our copies of the pipes, so that the JVM still sees the end of its real parent."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                _stream(stream).close()
        # No wait() for a process that is not our child, and no complaint about it either.
        self._process.returncode = 0

    def _shake_hands(self, handshake: Mapping[str, Any]) -> dict[str, Any]:
        line = (json.dumps({**handshake, "token": self.token, "parent_pid": self._owner}) + "\n").encode()
        with contextlib.suppress(BrokenPipeError):  # what it said before it ended is worth more
            while line:
                line = line[os.write(_stream(self._process.stdin).fileno(), line) :]
        answer = self._answer(time.monotonic() + START_TIMEOUT)
        if "error" in answer:
            raise ConfigurationError(f"The gateway JVM did not start: {answer['error']}")
        return answer

    def _answer(self, deadline: float) -> dict[str, Any]:
        """The first line of standard output that is a JSON object. Agents and recorders in the JVM may talk before."""
        out = _stream(self._process.stdout)
        poll = select.poll()  # select() itself cannot look at a descriptor beyond 1023
        poll.register(out, select.POLLIN)
        said = b""
        while True:
            for line in said.split(b"\n")[:-1]:
                with contextlib.suppress(ValueError):
                    if line.startswith(b"{"):
                        return dict(json.loads(line))
            left = deadline - time.monotonic()
            if left <= 0 or len(said) > _MOST_SAID:
                raise ClusterUnavailable(
                    f"The gateway JVM (process {self.pid}) has not started after {START_TIMEOUT:.0f} s."
                    f"{self._quoted_words()}"
                )
            if poll.poll(left * 1000):
                chunk = os.read(out.fileno(), 65536)
                if not chunk:
                    what = self.end_now() if not said else f"said {said[:200].decode(errors='replace')!r}"
                    raise ClusterUnavailable(f"The gateway JVM did not start: it {what}.{self._quoted_words()}")
                said += chunk

    def _quoted_words(self) -> str:
        words = self.last_words()
        return f" Its last words:\n{words}" if words else ""

    def _listen(self) -> None:
        fd = _stream(self._process.stderr).fileno()
        rest = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(fd, 65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._words.append(line.decode(errors="replace")[:2000])
                rest = rest[-65536:]
        if rest:
            self._words.append(rest.decode(errors="replace")[:2000])


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # cannot be: all three are pipes
        raise AssertionError
    return stream


_after_fork: list[Callable[[], None]] = []


def after_fork_in_child(function: Callable[[], None]) -> None:
    """Have a function called in every forked child, after the copies of the pipes are closed."""
    _after_fork.append(function)


def _forget_all() -> None:
    for process in list(_living):
        process.forget()
        _living.discard(process)
    for function in _after_fork:
        function()


def _close_all() -> None:
    for process in list(_living):
        process.close()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
