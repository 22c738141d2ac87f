"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from knit_provider.yarn.errors import KnitError, WaitTimeout

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.logs import LogChunk


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; off a terminal, plain columns that are never cut."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(str(v) for v in row))
    console = Console(markup=False, highlight=False)
    if not sys.stdout.isatty():
        console = Console(markup=False, highlight=False, width=10_000)
    # Rich would exit by itself, and with 1, when the reader of a pipe has gone.
    with console.capture() as printed:
        console.print(table)
    click.echo(printed.get(), nl=False)


def show_logs(
    app: Application, *, follow: bool, as_json: bool, aggregated: bool = False, services_only: bool = False
) -> None:
    """Print the logs of an application's containers.

    Args:
        app: the application.
        follow: go on until it has ended, with each piece as it comes.
        as_json: as data: one object by container and file, or with ``follow`` one for each piece.
        aggregated: only what the cluster has collected (default False); not with ``follow``.
        services_only: leave out the ApplicationMaster's (default False); only with ``follow``.
    """
    if follow:
        for chunk in app.iter_logs(follow=True):
            if chunk.service is None and services_only:
                continue
            if as_json:
                print_json(
                    {"container": chunk.container_id, "service": chunk.service, "file": chunk.file, "text": chunk.text}
                )
            else:
                click.echo(chunk.text, nl=False)
    elif as_json:
        print_json(
            {
                container_id: {k: v if v is None or isinstance(v, int) else str(v) for k, v in files.items()}
                for container_id, files in app.logs(shell=aggregated).items()
            }
        )
    else:
        app.print_logs(shell=aggregated)


def not_ended(app_id: str, state: str) -> WaitTimeout:
    """What a command fails with whose kill was accepted and has not come about yet."""
    return WaitTimeout(f"{app_id} was told to end and is still {state}; `knit wait {app_id}` waits for its end")


def moment(ms: object) -> str:
    """Milliseconds since the epoch as local time; empty for none."""
    try:
        seconds = int(str(ms)) / 1000
    except ValueError:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds > 0 else ""


def say(text: str) -> None:
    """A word to the person at the terminal, on stderr so that data on stdout stays clean."""
    click.echo(text, err=True)


@contextmanager
def told_or_ended(app_id: str | None, end: Callable[[], object]) -> Iterator[None]:
    """Within it a command prints the id of its application, which would else live on without anybody's knowing it.

    Args:
        app_id: YARN application id.
        end: ends the application; called where the id could not be printed.

    Raises:
        KnitError: it could not be printed, as where the reader of a pipe has gone: here that is a failure.
    """
    try:
        yield
    except BaseException as e:
        end()
        if isinstance(e, OSError):
            raise KnitError(f"{app_id} was ended again, since its id could not be printed: {e}") from e
        raise


def print_lines(chunk: LogChunk, lines: Iterable[str]) -> None:
    """Print lines of the container that wrote a chunk, each with its instance's number before it."""
    for line in lines:
        click.echo(f"[{chunk.index}] {line}", err=chunk.file == "stderr")
