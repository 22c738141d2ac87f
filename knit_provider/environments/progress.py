"""What the person who waits sees of a build or an upload: bars on a terminal, lines in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn

log = logging.getLogger("knit_provider.environments")

BYTES = "bytes"
LOG_EVERY = 10.0
"""Seconds between two lines about one stage."""


class Stage(Protocol):
    """A part of the work that is under way."""

    def advance(self, amount: int = 1) -> None:
        """So much more is done, in the stage's unit. May be called from any thread."""


class Progress(Protocol):
    """Told what a build or an upload does."""

    def stage(self, name: str, total: int | None = None, *, unit: str = BYTES) -> AbstractContextManager[Stage]:
        """A part of the work.

        Args:
            name: a verb or two, such as ``"pack"``.
            total: how much there is to do in all; None where nobody knows.
            unit: of ``total`` and of what ``advance`` is told: ``"bytes"`` (default), ``"files"``, ``"packages"``.
        """


class _Count:
    """How far a stage is, and how fast it goes."""

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self._began = self._said = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, amount: int = 1) -> None:
        with self._lock:
            self.done += amount
            now = time.monotonic()
            if now - self._said < LOG_EVERY:
                return
            self._said = now
        log.info("%s: %s", self.name, self.words())

    def words(self) -> str:
        """Such as ``12 of 40 MB, 8 MB/s, 4 s left``."""
        seconds = max(time.monotonic() - self._began, 1e-3)
        rate = self.done / seconds
        parts = [self._amount(self.done) if self.total is None else f"{self._of_total()}"]
        if self.unit == BYTES:
            parts.append(f"{_megabytes(rate)}/s")
        if self.total is not None and self.done < self.total and rate > 0:
            parts.append(f"{(self.total - self.done) / rate:.0f} s left")
        return ", ".join(parts)

    def ended(self) -> str:
        seconds = time.monotonic() - self._began
        return f"{self._amount(self.done)} in {seconds:.1f} s" if self.done else f"{seconds:.1f} s"

    def _of_total(self) -> str:
        return f"{self._amount(self.done)} of {self._amount(self.total or 0)}"

    def _amount(self, number: int) -> str:
        return _megabytes(number) if self.unit == BYTES else f"{number} {self.unit}"


def _megabytes(number: float) -> str:
    return f"{number / 1e6:.1f} MB"


class LogProgress:
    """A line in the log (``knit_provider.environments``, INFO) at a stage's end, and every 10 s in a long one.

    Python shows no INFO lines unless told to, so this is quiet in a script; Airflow and Prefect show them.
    """

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = BYTES) -> Iterator[Stage]:
        """See :meth:`Progress.stage`."""
        count = _Count(name, total, unit)
        yield count
        log.info("%s: done, %s", name, count.ended())


class BarProgress:
    """Bars on a terminal's standard error, one for each stage, gone when the work is."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._open = 0

    @contextmanager
    def stage(self, name: str, total: int | None = None, *, unit: str = BYTES) -> Iterator[Stage]:
        """See :meth:`Progress.stage`."""
        bars = self._started()
        task = bars.add_task(name, total=total, unit=unit)

        class Bar:
            def advance(self, amount: int = 1) -> None:
                bars.advance(task, amount)

        self._open += 1
        try:
            yield Bar()
            bars.update(task, total=1, completed=1, unit="") if total is None else bars.update(task, completed=total)
        finally:
            self._open -= 1
            if not self._open:
                bars.stop()
                self._bars = None

    def _started(self) -> Bars:
        if self._bars is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                _amounts(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bars.start()
        return self._bars


def _amounts() -> ProgressColumn:
    from rich.progress import Task, TextColumn
    from rich.text import Text

    class Amounts(TextColumn):
        """Bytes and their speed, or a plain count."""

        def render(self, task: Task) -> Text:
            unit = task.fields["unit"]
            if not unit or (task.total is None and not task.completed):
                return Text("")
            if unit != BYTES:
                whole = "" if task.total is None else f"/{task.total:.0f}"
                return Text(f"{task.completed:.0f}{whole} {unit}")
            whole = "" if task.total is None else f"/{_megabytes(task.total)}"
            speed = f"  {_megabytes(task.speed)}/s" if task.speed else ""
            return Text(f"{_megabytes(task.completed)}{whole}{speed}")

    return Amounts("")


def progress_here() -> Progress:
    """Bars where standard error is a terminal, log lines elsewhere."""
    return BarProgress() if sys.stderr is not None and sys.stderr.isatty() else LogProgress()
