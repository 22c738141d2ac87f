"""The command that everybody runs, and what it tells.

It writes down by its own clock when it runs, waits at a gate without using any CPU, prints its payload if it has one,
and writes down when it ends. The files are on this machine, so it reports without any help from what is measured.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants.protocol import PAYLOAD_PREFIX

# Rarely, so that asking takes no part in what is measured.
_ASK_SECONDS = 15.0

# A lock on the gate is let go of by the kernel if the harness dies, and then the containers end by themselves.
_SCRIPT = """\
#!/usr/bin/env bash
export LC_ALL=C
now() { if [ -n "${EPOCHREALTIME:-}" ]; then echo "$EPOCHREALTIME"; else date +%s.%6N; fi; }
now > "$1/$CONTAINER_ID.start"
flock --shared "$1/gate" true
[ ! -f "$1/payload" ] || cat "$1/payload"
now > "$1/$CONTAINER_ID.end"
"""


@dataclass(frozen=True)
class Stamp:
    """A container and the time its command said, in seconds since the epoch."""

    container_id: str
    time: float


class Probe:
    """One application's probes: their folder, their gate and their stamps."""

    def __init__(self, folder: Path, payload: int = 0) -> None:
        """Makes the folder and closes the gate.

        Args:
            folder: a new one.
            payload: bytes that each container prints after the gate, as numbered lines.
        """
        folder.mkdir(parents=True)
        self._folder = folder
        self.payload = payload
        script = folder / "probe.sh"
        script.write_text(_SCRIPT)
        if payload:
            _write_payload(folder / "payload", payload)
        self._gate = os.open(folder / "gate", os.O_CREAT | os.O_RDWR, 0o666)
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        self.command = f"bash {shlex.quote(str(script))} {shlex.quote(str(folder))}"

    def starts(self) -> list[Stamp]:
        """The commands that run or ran, the earliest first."""
        return self._stamps("start")

    def ends(self) -> list[Stamp]:
        """The commands that have ended, the earliest first."""
        return self._stamps("end")

    def wait_for_starts(self, count: int, timeout: float, obstacle: Callable[[], str]) -> list[Stamp]:
        """The stamps of ``count`` running commands.

        Args:
            count: how many.
            timeout: seconds.
            obstacle: asked now and then why there will be no more; "" to go on.

        Raises:
            TimeoutError: saying how many there were, and why.
        """
        began = time.monotonic()
        ask_at = began + _ASK_SECONDS
        while len(found := self.starts()) < count:
            now = time.monotonic()
            why = ""
            if now > ask_at:
                why = obstacle()
                ask_at = now + _ASK_SECONDS
            if why or now - began > timeout:
                raise TimeoutError(f"{len(found)} of {count} containers ran after {now - began:.0f} s. {why}".strip())
            time.sleep(0.05)
        return found

    def open_gate(self) -> None:
        """Lets the commands end. Idempotent."""
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def _stamps(self, kind: str) -> list[Stamp]:
        found = []
        for path in self._folder.glob(f"*.{kind}"):
            text = path.read_text()
            if text.endswith("\n"):
                found.append(Stamp(path.stem, float(text)))
        return sorted(found, key=lambda stamp: stamp.time)


def _write_payload(path: Path, size: int) -> None:
    """Numbered lines of 100 bytes, the last one cut to size."""
    with path.open("w") as out:
        written, number = 0, 0
        while written < size:
            width = min(100, size - written)
            if size - written - width < 20:  # no stump without a prefix
                width = size - written
            line = f"{PAYLOAD_PREFIX}{number:010d} ".ljust(width - 1, "x") + "\n"
            out.write(line)
            written += len(line)
            number += 1
