"""``knit env``: build environments, see which are in HDFS, and remove those that nobody uses."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import click

from knit_provider.cli.options import json_option, with_knit
from knit_provider.cli.output import print_json, print_table, say
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.units import parse_memory

_DAY = 24 * 3600.0
_MIB = 1024 * 1024


@click.group()
def env() -> None:
    """Python environments for containers, in HDFS."""


@env.command()
@click.argument("source", required=False)
@click.option("--package", "-p", "packages", multiple=True, metavar="SPEC", help="A conda package; may be repeated.")
@click.option("--channel", "-c", "channels", multiple=True, metavar="CHANNEL", help="Of the packages; may be repeated.")
@click.option("--name", metavar="NAME", help="What it is called [default: after the source].")
@click.option("--format", type=click.Choice(["tar.gz", "tar", "zip"]), default="tar.gz", show_default=True)
@click.option("--public", is_flag=True, help="Let everybody read it, if no secret is found in it.")
@click.option("--allow-secret", "allow_secrets", multiple=True, metavar="GLOB", help="Members that are no secrets.")
@click.option("--replication", type=click.IntRange(1, 512), help="Copies of each block [default: replication_factor].")
@click.option("--upload-always", is_flag=True, help="Upload also what is there.")
@click.option("--refresh", is_flag=True, help="Solve and build anew.")
@click.option("--ignore-editable", is_flag=True, help="Leave editable installs out in place of refusing them.")
@click.option("--ignore-missing", is_flag=True, help="Pack also where a package manager overwrote files.")
@json_option
@with_knit
def build(
    knit: Knit,
    source: str | None,
    packages: tuple[str, ...],
    channels: tuple[str, ...],
    name: str | None,
    format: str,  # noqa: A002 - as the option
    public: bool,
    allow_secrets: tuple[str, ...],
    replication: int | None,
    upload_always: bool,
    refresh: bool,
    ignore_editable: bool,
    ignore_missing: bool,
    as_json: bool,
) -> None:
    """Build an environment, put it into HDFS and print its URI, for env=.

    SOURCE is conda://PREFIX_OR_NAME, venv://PREFIX, an environment.yml, requirements.txt, pyproject.toml, uv.lock or
    explicit lock file, or a ready archive. What is built or in HDFS already is neither built nor uploaded again.
    """
    from knit_provider.environments.cache import as_json as described
    from knit_provider.environments.progress import progress_here
    from knit_provider.environments.provide import provide

    # Without a terminal there are no bars, and the lines in their place shall be seen.
    logging.getLogger("knit_provider.environments").setLevel(logging.INFO)
    made = provide(
        knit.connection,
        source,
        packages=packages,
        channels=channels,
        name=name,
        format=format,
        ignore_editable=ignore_editable,
        ignore_missing=ignore_missing,
        refresh=refresh,
        public=public,
        allow_secrets=allow_secrets,
        replication=replication,
        upload_always=upload_always or knit.upload_always,
        progress=progress_here(),
    )
    say(f"{made.name}: {'uploaded' if made.uploaded else 'was in HDFS already'}, {_size(made.size)}")
    if as_json:
        print_json({**described(made), "uploaded": made.uploaded})
    else:
        click.echo(made.uri)


@env.command("list")
@json_option
@with_knit
def list_(knit: Knit, as_json: bool) -> None:
    """The environments in HDFS, the last used first."""
    from knit_provider.environments.cache import as_json as described
    from knit_provider.environments.cache import list_published

    found = list_published(knit.connection)
    if as_json:
        print_json([described(e) for e in found])
        return
    rows = [
        (e.name, e.digest[:12], _size(e.size), _ago(e.created), _ago(e.last_used), "public" if e.public else "", e.uri)
        for e in found
    ]
    print_table(("NAME", "DIGEST", "SIZE", "AGE", "LAST USE", "", "URI"), rows)


@env.command()
@click.option(
    "--older-than", type=click.FloatRange(0), metavar="DAYS", help="Unused for longer [30; none with --keep]."
)
@click.option("--keep", metavar="SIZE", help="Keep at most so much, such as 20GiB; the longest unused go first.")
@click.option("--public", is_flag=True, help="Public ones too, which other users' applications may use.")
@click.option("--local", is_flag=True, help="Builds on this machine, not what is in HDFS.")
@json_option
@with_knit
def prune(knit: Knit, older_than: float | None, keep: str | None, public: bool, local: bool, as_json: bool) -> None:
    """Remove environments that nobody needs any more.

    What a running application uses, or somebody used in the last three hours, is never removed.
    """
    if local:
        if keep is not None or public:
            raise click.UsageError("--local goes with --older-than alone")
        _prune_local(older_than, as_json)
        return
    from knit_provider.environments.cache import UNUSED_AGE
    from knit_provider.environments.cache import as_json as described
    from knit_provider.environments.cache import prune as prune_environments

    age = None if keep is not None else UNUSED_AGE
    done = prune_environments(
        knit.connection,
        older_than=age if older_than is None else older_than * _DAY,
        keep_bytes=None if keep is None else _bytes(keep),
        public=public,
    )
    if as_json:
        print_json({part: [described(e) for e in getattr(done, part)] for part in ("removed", "in_use", "kept")})
        return
    for gone in done.removed:
        click.echo(f"removed {gone.name} {gone.digest[:12]} ({_size(gone.size)})")
    click.echo(
        f"removed {len(done.removed)} environments ({_size(done.freed)}); {len(done.in_use)} more are in use or just "
        f"were, {len(done.kept)} stay"
    )


def _prune_local(older_than: float | None, as_json: bool) -> None:
    from knit_provider.environments.cache import UNUSED_AGE
    from knit_provider.environments.store import Store

    gone = Store().prune(UNUSED_AGE if older_than is None else older_than * _DAY)
    if as_json:
        print_json({"removed": [{"name": e.name, "digest": e.digest, "size": e.size, "path": e.path} for e in gone]})
        return
    for env in gone:
        click.echo(f"removed {env.path} ({_size(env.size)})")
    click.echo(f"removed {len(gone)} builds ({_size(sum(env.size for env in gone))})")


def _bytes(text: str) -> int:
    return parse_memory(text, "--keep", minimum=0) * _MIB


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:.2f} GB"


def _ago(moment: object) -> str:
    assert isinstance(moment, datetime)
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
