"""What a contestant can do, and how the harness asks for it: one JSON object a line, on stdin and stdout.

Only the standard library is imported here, because this runs in the peers' environments.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PAYLOAD_PREFIX = "payload "
_LOG_RETRY_SECONDS = 0.25


class Contestant:
    """A way to run a command on YARN. A subclass says what differs: how to start, wait and read logs."""

    # Distributions whose versions are reported.
    distributions: Sequence[str] = ()
    # Whether it can run a command in more than one container.
    many = True

    def start(self, command: str, *, instances: int, memory: int, name: str) -> str:
        """Starts a command; returns the application id as soon as the library does.

        Imports its library here, so that a fresh process pays for that in its first call.

        Args:
            command: for a shell.
            instances: containers that run it.
            memory: MiB of each container.
            name: shown in YARN.
        """
        raise NotImplementedError

    def wait(self, app_id: str, timeout: float) -> bool:
        """Waits for the end as the library's users do; whether it was a success."""
        raise NotImplementedError

    def ended(self, app_id: str) -> None:
        """Called outside of all timing after an application's end: lets go of what is kept for it alone."""

    def logs(self, app_id: str) -> str:
        """The text of all containers' logs of an application that has ended."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends what the library has running."""

    def versions(self) -> dict[str, str]:
        """What is measured."""
        found = {"Python": platform.python_version()}
        for name in self.distributions:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "not installed"
        return found


def poll_until(done: Any, timeout: float, interval: float = 0.1) -> bool:
    """Asks every ``interval`` seconds, as a user of a library without a wait has to; False at the timeout."""
    end = time.monotonic() + timeout
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def payload_bytes(text: str) -> int:
    """How much of the probe's output is in a log text."""
    return sum(len(line) + 1 for line in text.splitlines() if line.startswith(PAYLOAD_PREFIX))


def serve(contestant: Contestant) -> None:
    """Answers requests until stdin ends or ``close`` is asked for."""
    # Libraries and their JVMs print what they like; the answers have a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        for line in sys.stdin:
            request = json.loads(line)
            action = request.pop("do")
            if action == "close":
                break
            try:
                answer: dict[str, Any] = {"ok": True, **_do(contestant, action, request)}
            except Exception as error:  # whatever a peer raises is a result, and the run goes on
                traceback.print_exc()
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    finally:
        contestant.close()


def _do(contestant: Contestant, action: str, request: Mapping[str, Any]) -> dict[str, Any]:
    if action == "hello":
        return {"versions": contestant.versions(), "many": contestant.many}
    if action == "start":
        called = time.time()
        app_id = contestant.start(**request)
        return {"app_id": app_id, "called": called, "returned": time.time()}
    if action == "wait":
        succeeded = contestant.wait(request["app_id"], request["timeout"])
        known = time.time()
        contestant.ended(request["app_id"])
        return {"known": known, "succeeded": succeeded}
    if action == "logs":
        return _logs(contestant, **request)
    raise ValueError(f"unknown action {action!r}")


def _logs(contestant: Contestant, app_id: str, expected: int, patience: float) -> dict[str, Any]:
    """Asks for logs until all of the probe's output is there: aggregation takes a moment after the end."""
    began = time.time()
    got, error = 0, ""
    while True:
        try:
            text = contestant.logs(app_id)
            done = time.time()
            got, error = payload_bytes(text), ""
            if got == expected:
                return {"began": began, "done": done}
        except Exception as raised:  # not there yet, or never
            error = f"{type(raised).__name__}: {raised}"
        if time.time() - began > patience:
            raise RuntimeError(error or f"{got} of {expected} bytes came back")
        time.sleep(_LOG_RETRY_SECONDS)
