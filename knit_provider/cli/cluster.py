"""``knit cluster``: the embedded Hadoop."""

from __future__ import annotations

import os
import shlex
import sys
import time

import click
from rich.console import Console
from rich.table import Table

from knit_provider.cli.exit_codes import UNAVAILABLE
from knit_provider.cli.output import print_json
from knit_provider.localcluster.cluster import LocalCluster
from knit_provider.localcluster.daemon import title_of
from knit_provider.localcluster.jars import HADOOP_VERSIONS
from knit_provider.localcluster.progress import progress_for
from knit_provider.localcluster.status import ClusterStatus
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

_directory = click.option(
    "--directory", "-d", type=click.Path(file_okay=False), help="The cluster's folder.  [default: one per user]"
)


@click.group()
def cluster() -> None:
    """A real Hadoop on this machine, to try things on and to test with."""


@cluster.command()
@_directory
@click.option("--nodes", "-n", type=click.IntRange(1, 32), help="NodeManagers.  [default: 2]")
@click.option("--hadoop-version", type=click.Choice(HADOOP_VERSIONS), help=f"[default: {HADOOP_VERSIONS[0]}]")
@click.option("-D", "overrides", multiple=True, metavar="KEY=VALUE", help="A Hadoop property. Repeatable.")
@click.option("--queue", "queues", multiple=True, metavar="NAME[:STATE]", help="One more queue. Repeatable.")
@click.option("--kerberos", is_flag=True, default=None, help="With a KDC and Kerberos on every port. Hadoop 3.3.6.")
@click.option("--tls", is_flag=True, default=None, help="With TLS on every web port and a CA of its own.")
@click.option("--ha", is_flag=True, default=None, help="Two ResourceManagers and two NameNodes, with failover.")
@click.option(
    "--timeout", type=click.FloatRange(1), default=300.0, show_default=True, help="Seconds until it is ready."
)
def up(
    directory: str | None,
    nodes: int | None,
    hadoop_version: str | None,
    overrides: tuple[str, ...],
    queues: tuple[str, ...],
    kerberos: bool | None,
    tls: bool | None,
    ha: bool | None,
    timeout: float,
) -> None:
    """Brings the cluster up, or what is missing of it."""
    console = Console(stderr=True)
    properties = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"-D {override!r} has to be KEY=VALUE.")
        properties[key] = value
    extra = {}
    for queue in queues:
        name, _, state = queue.partition(":")
        extra[name] = {"state": state.upper() or "RUNNING"}
    began = time.monotonic()
    with progress_for(console) as progress:
        local = LocalCluster(
            directory,
            nodes=nodes,
            hadoop_version=hadoop_version,
            overrides=properties or None,
            queues=extra or None,
            progress=progress,
            timeout=timeout,
            kerberos=kerberos,
            tls=tls,
            ha=ha,
        )
        started = local.up()
    if started:
        click.echo(f"Hadoop {local.hadoop_version} is up after {time.monotonic() - began:.0f} s, in {local.directory}")
    else:
        click.echo(f"Hadoop {local.hadoop_version} is up already, in {local.directory}")
    for kind in ("resourcemanager", "namenode"):
        for name in local.plan.all_of(kind):
            click.echo(f"{title_of(name):18} {local.scheme}://{local.plan.web_of(name)}")
    click.echo(f'Use it:          eval "$(knit cluster env{_again(directory)})"')
    click.echo(f"End it:          knit cluster down{_again(directory)}")


@cluster.command()
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: str | None, as_json: bool) -> None:
    """Shows what runs. Exit code 0 if all of it does, 69 otherwise."""
    found = LocalCluster(directory).status()
    if as_json:
        print_json(found.to_json())
    else:
        _print_status(found, directory)
    if not found.is_up:
        sys.exit(UNAVAILABLE)


@cluster.command()
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(directory: str | None, as_json: bool) -> None:
    """Prints what makes other programs use the cluster: eval "$(knit cluster env)"."""
    local = LocalCluster(directory)
    if local.status().state == "down":
        raise ClusterUnavailable(
            f"The cluster in {local.directory} is down. Start it: knit cluster up{_again(directory)}"
        )
    variables = local.env()
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(str(local.hadoop_home / "bin"))}:"$PATH"')


@cluster.command()
@_directory
@click.option("--delete", is_flag=True, help="Delete the folder too, with the cluster's HDFS and logs.")
def down(directory: str | None, delete: bool) -> None:
    """Ends every process of the cluster. What is in its HDFS stays for the next time."""
    local = LocalCluster(directory)
    console = Console(stderr=True)
    with console.status("ending the daemons"):
        ended = local.down(delete=delete)
    click.echo(f"The cluster in {local.directory} {'is' if ended else 'was'} down{' and deleted' if delete else ''}.")


def _print_status(found: ClusterStatus, directory: str | None) -> None:
    console = Console()
    if not found.daemons:
        console.print(f"{found.directory}: down", highlight=False, soft_wrap=True)
        return
    console.print(f"{found.directory}: {found.state}, Hadoop {found.hadoop_version}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for title in ("daemon", "state", "pid", "listens on"):
        table.add_column(title)
    for daemon in found.daemons:
        color = {"ready": "green", "dead": "red"}.get(daemon.state, "yellow")
        ports = " ".join(address.rpartition(":")[2] for address in daemon.addresses.values())
        detail = f" ({daemon.detail})" if daemon.detail else ""
        table.add_row(daemon.title, f"[{color}]{daemon.state}[/]{detail}", str(daemon.pid or "-"), ports)
    console.print(table)
    for name, address in found.web.items():
        console.print(f"{name}  {address}", highlight=False)
    if found.state != "up":
        dead = [daemon for daemon in found.daemons if daemon.state == "dead"]
        for daemon in dead:
            console.print(f"{daemon.title} died; its log is {daemon.log}", highlight=False, soft_wrap=True)
        console.print(f"Start what is missing: knit cluster up{_again(directory)}", highlight=False, soft_wrap=True)


def _again(directory: str | None) -> str:
    return f" --directory {shlex.quote(os.path.abspath(directory))}" if directory else ""
