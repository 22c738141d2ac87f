"""What the person who waits sees while a cluster comes up."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


class Progress:
    """Told of every step. This one shows nothing; it is what Python callers get."""

    def note(self, words: str) -> None:
        """Something that is no daemon's: a download, a wait."""

    def step(self, name: str, state: str, detail: str = "") -> None:
        """A daemon went on.

        Args:
            name: the daemon, or another thing that is waited for, as people write it.
            state: ``waiting``, ``starting``, ``ready`` or ``failed``.
            detail: what it is busy with, or how long it took.
        """

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainProgress(Progress):
    """One line for each change, for logs and pipes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._last: dict[str, str] = {}

    def note(self, words: str) -> None:
        """Prints it."""
        self._print(words)

    def step(self, name: str, state: str, detail: str = "") -> None:
        """Prints a daemon's state when it is another one than before."""
        if self._last.get(name) != state:
            self._last[name] = state
            self._print(f"{name}: {state}{f' ({detail})' if detail else ''}")

    def _print(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:5.1f} s  {line}", file=self._stream, flush=True)


class RichProgress(Progress):
    """A table that is drawn over itself, on a terminal."""

    _MARKS = {"waiting": "[dim]·[/]", "ready": "[green]✔[/]", "failed": "[red]✘[/]"}  # noqa: RUF012 - never changed

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._rows: dict[str, tuple[str, str]] = {}
        self._spinners: dict[str, Spinner] = {}
        self._note = ""
        self._live = Live(console=console, refresh_per_second=8, get_renderable=self._draw, transient=False)

    def __enter__(self) -> Progress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note = ""
        self._live.stop()

    def note(self, words: str) -> None:
        """Shows it below the table until the next one."""
        self._note = words

    def step(self, name: str, state: str, detail: str = "") -> None:
        """Changes a daemon's row."""
        self._rows[name] = (state, detail)

    def _draw(self) -> RenderableType:
        table = Table(box=None, show_header=False, padding=(0, 1))
        for name, (state, detail) in self._rows.items():
            mark: RenderableType
            if state == "starting":
                mark = self._spinners.setdefault(name, Spinner("dots", style="cyan"))
            else:
                mark = Text.from_markup(self._MARKS.get(state, " "))
            table.add_row(mark, name, Text(detail, style="dim"))
        parts: list[RenderableType] = [table]
        if self._note:
            parts.append(Text(f"{self._note}  {time.monotonic() - self._began:.0f} s", style="dim"))
        return Group(*parts)


def progress_for(console: Console) -> Progress:
    """A table on a terminal, plain lines elsewhere."""
    return RichProgress(console) if console.is_terminal else PlainProgress(console.file)


def first_lines(lines: Iterable[str], indent: str = "  ") -> str:
    """Lines of a log, set apart from the sentence above them."""
    return "\n".join(f"{indent}{line}" for line in lines)
