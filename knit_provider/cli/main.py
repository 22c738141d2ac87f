"""The root of the ``knit`` command, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from knit_provider import __version__
from knit_provider.cli.exit_codes import INTERRUPTED, USAGE, exit_code
from knit_provider.cli.output import say
from knit_provider.cli.signals import terminated_like_interrupted
from knit_provider.yarn.errors import KnitError

_COMMANDS = {
    "cluster": "knit_provider.cli.cluster:cluster",
    "dask": "knit_provider.cli.dask:dask",
    "doctor": "knit_provider.cli.doctor:doctor",
    "env": "knit_provider.cli.env:env",
    "kill": "knit_provider.cli.applications:kill",
    "list": "knit_provider.cli.applications:list_",
    "logs": "knit_provider.cli.applications:logs",
    "prune": "knit_provider.cli.prune:prune",
    "run": "knit_provider.cli.run:run",
    "scale": "knit_provider.cli.applications:scale",
    "status": "knit_provider.cli.applications:status",
    "submit": "knit_provider.cli.applications:submit",
    "wait": "knit_provider.cli.applications:wait",
}


class _Root(click.Group):
    """Loads a command when it is asked for, and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        place = _COMMANDS.get(name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of a pipe has seen enough, as in `knit logs ID | head`. Caught before click makes a failure of
            # it; nothing more is written, not even what Python still holds when it exits.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            raise click.exceptions.Exit(0) from None

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            # A container may print what this terminal cannot show; that is no reason to end.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            with terminated_like_interrupted():
                code = super().main(args, *rest, **extra)
        except click.ClickException as e:
            e.show()
            sys.exit(USAGE if isinstance(e, click.UsageError) else 1)
        except (click.Abort, KeyboardInterrupt):
            say("knit: interrupted")
            sys.exit(INTERRUPTED)
        except KnitError as e:
            say(f"knit: {e}")
            sys.exit(exit_code(e))
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="knit")
@click.option("-v", "--verbose", count=True, help="Log more; twice for everything.")
def main(verbose: int) -> None:
    """Applications on Hadoop YARN.

    Exit codes: 0, the first failing container's code, 64 usage, 69 unavailable, 77 refused, 124 timeout, 130 Ctrl-C.
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="knit: %(message)s" if verbose < 2 else "%(asctime)s %(name)s %(message)s")
