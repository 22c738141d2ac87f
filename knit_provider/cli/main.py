"""The root of the ``knit`` command."""

from __future__ import annotations

import click

from knit_provider import __version__
from knit_provider.cli.cluster import cluster


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="knit")
def main() -> None:
    """Applications on Hadoop YARN."""


main.add_command(cluster)
