"""``knit prune``."""

from __future__ import annotations

import click

from knit_provider.cli.options import json_option, with_knit
from knit_provider.cli.output import print_json
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.submission.housekeeping import prune_all


@click.command()
@click.option(
    "--cache-days",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Days since their last use that uploads stay; never less than three hours.",
)
@click.option(
    "--ledger-days", type=click.FloatRange(0), default=365.0, show_default=True, help="Age of ledger entries."
)
@json_option
@with_knit
def prune(knit: Knit, cache_days: float, ledger_days: float, as_json: bool) -> None:
    """Remove staging of ended applications, and uploads and ledger entries that nobody needs any more.

    What a running application or a submission under way uses is never removed.
    """
    done = prune_all(knit.connection, cache_days=cache_days, ledger_days=ledger_days)
    if as_json:
        print_json({"applications": done.applications, "cached": done.cached, "ledger": done.ledger, "kept": done.kept})
        return
    click.echo(
        f"removed the staging of {len(done.applications)} applications, {len(done.cached)} uploads and "
        f"{len(done.ledger)} ledger entries; {len(done.kept)} applications are live"
    )
