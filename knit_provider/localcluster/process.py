"""Processes told apart by birth, so that a pid that the kernel has given to somebody else is never signalled."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class ProcessId:
    """A pid together with when it began.

    Attributes:
        pid: the kernel's number.
        birth: opaque; equal only for the same process of the same boot.
    """

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this pid now, or ``None`` if none is alive."""
        birth = _birth(pid)
        return None if birth is None else cls(pid, birth)

    @property
    def alive(self) -> bool:
        """Whether it still runs. One that has ended and waits to be reaped does not."""
        return _birth(self.pid) == self.birth

    def send(self, signum: int) -> bool:
        """Sends a signal to this very process; False if it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        except (OSError, AttributeError):  # a kernel or a Python without pidfd
            if not self.alive:
                return False
            os.kill(self.pid, signum)
            return True
        try:
            # The handle cannot come to mean another process, so asking after it was opened leaves no gap.
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, signum)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


def _birth(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _birth_by_clock(pid)
    # The command's name, in brackets, may itself hold spaces and brackets.
    fields = stat[stat.rindex(")") + 2 :].split()
    # A process whose first thread has ended is no zombie yet while other threads of it go on.
    gone = fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1)
    return None if gone else f"{boot}:{fields[19]}"


def _birth_by_clock(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"clock:{process.create_time():.2f}"
    except psutil.Error:
        return None


def processes_with(word: str) -> Iterator[ProcessId]:
    """Processes of this user that have ``word`` among the words of their command line."""
    for process in psutil.process_iter():
        try:
            if process.uids().real == os.getuid() and word in process.cmdline():
                found = ProcessId.of(process.pid)
                if found is not None:
                    yield found
        except psutil.Error:
            continue


def end_all(processes: Iterable[ProcessId], *, grace: float, patience: float = 10.0) -> list[ProcessId]:
    """Asks processes to end, and kills those that have not within ``grace`` seconds.

    Args:
        processes: whom to end.
        grace: seconds between SIGTERM and SIGKILL; 0 kills at once.
        patience: seconds to wait for the killed to be gone.

    Returns:
        Those that are still there.
    """
    left = [process for process in processes if process.alive]
    if grace > 0:
        for process in left:
            process.send(signal.SIGTERM)
        left = wait_gone(left, grace)
    for process in left:
        process.send(signal.SIGKILL)
    return wait_gone(left, patience)


def wait_gone(processes: Iterable[ProcessId], seconds: float) -> list[ProcessId]:
    """Waits until processes are gone, and returns those that are not by then."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if process.alive]
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if process.alive]
    return left


def let_idle(pid: int, thread: str) -> int:
    """Gives some threads of a process only the processor's time that nobody else wants.

    Args:
        pid: the process.
        thread: how the threads' names begin, as the kernel knows them (15 characters).

    Returns:
        How many threads there were. 0 also where the kernel can't do that.
    """
    found = 0
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            if (task / "comm").read_text().startswith(thread):
                os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
                found += 1
        except (OSError, AttributeError):
            continue
    return found
