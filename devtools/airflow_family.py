"""All processes of one Airflow, known by their sessions; as a program, a guard that ends them.

A process keeps its session when its parent dies, and it may change what `ps` shows of it, as Airflow's do. The guard
reads session ids from its standard input, one a line. The word ``done`` there means that nothing is left to look after;
the end of input without it means that whoever started Airflow is gone, and the guard ends what it left.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import psutil


def family(sessions: Collection[int]) -> list[psutil.Process]:
    """Every process of these sessions, whoever its parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in sessions:
                found.append(process)
        except OSError:
            continue
    return found


def end_family(sessions: Collection[int]) -> None:
    """Kill them, each by its id."""
    for _ in range(3):
        left = family(sessions)
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=5)
        if not left:
            return


class Guard:
    """The starter's side of the guard."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def watch(self, session: int) -> None:
        """End this session too, should this process die."""
        self._tell(str(session))

    def forget(self, session: int) -> None:
        """This one has ended, and its number may be somebody else's soon."""
        self._tell(f"-{session}")

    def dismiss(self) -> None:
        """Say that all has ended, and wait for the guard's own end."""
        self._tell("done")
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()


def main() -> None:
    """The guard's side."""
    sessions = set()
    for line in sys.stdin:
        if line.strip() == "done":
            return
        session = int(line)
        if session > 0:
            sessions.add(session)
        else:
            sessions.discard(-session)
    end_family(sessions)


if __name__ == "__main__":
    main()
