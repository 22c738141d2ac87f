"""``knit dask``: Dask clusters that outlive the command which starts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from knit_provider.cli.options import json_option, pairs, with_knit
from knit_provider.cli.output import moment, not_ended, print_json, print_table, say, show_logs, told_or_ended
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import LIVE_STATES

if TYPE_CHECKING:
    from knit_provider.dask import DaskYARNCluster


@click.group()
def dask() -> None:
    """Dask clusters on YARN, each one application with the scheduler in a container."""


@dask.command()
@click.option("-n", "--n-workers", default=1, show_default=True, help="Workers to begin with.")
@click.option("--memory", help="Of each worker's container: MiB, or with a suffix such as 4GiB.  [default: 2GiB]")
@click.option("--cpus", type=int, help="Virtual cores and threads of each.  [default: 1]")
@click.option("--env", help="A packed Python environment: archive or hdfs:// URI, or python:///path.")
@click.option("--queue", help="YARN queue.  [default: default]")
@click.option("--name", help="Name of the cluster.  [default: dask]")
@click.option("-e", "--worker-env", multiple=True, metavar="NAME=VALUE", help="Variable of workers; may be repeated.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="File or archive for workers; may be repeated.")
@click.option("--idle-timeout", metavar="TIME", help="End after being idle for so long, as in '30 min'.")
@click.option("--no-checks", is_flag=True, help="Leave out the checks before submission.")
@json_option
@with_knit
def submit(
    knit: Knit, worker_env: tuple[str, ...], files: tuple[str, ...], no_checks: bool, as_json: bool, **given: Any
) -> None:
    """Start a cluster that lives on, and print its application id once its scheduler is there.

    DaskYARNCluster.from_application_id(ID) or from_name(NAME) connects to it.
    """
    cluster = _cluster_class()(
        knit=knit,
        deploy_mode="remote",
        bound=False,
        worker_env=pairs("--worker-env", worker_env) or None,
        files=list(files) or None,
        checks=not no_checks,
        **given,
    )
    with told_or_ended(cluster.app_id, lambda: cluster.shutdown("KILLED", "knit dask submit was interrupted")):
        found = {"id": cluster.app_id, "scheduler": cluster.scheduler_address, "dashboard": cluster.dashboard_link}
        if as_json:
            print_json(found)
        else:
            click.echo(found["id"])
            say(f"scheduler {found['scheduler']}, dashboard {found['dashboard'] or 'none'}")
    cluster.disconnect()


@dask.command("list")
@click.option("--all", "every", is_flag=True, help="Ended ones too.")
@json_option
@with_knit
def list_(knit: Knit, every: bool, as_json: bool) -> None:
    """List Dask clusters."""
    apps = knit.yarn_api.find(tags=["dask"], types=["knit"], states=None if every else LIVE_STATES)
    if as_json:
        print_json(apps)
        return
    print_table(
        ("ID", "NAME", "USER", "QUEUE", "STATE", "FINAL", "STARTED", "CONTAINERS"),
        (
            (
                a["id"],
                *(a.get(key) for key in ("name", "user", "queue", "state", "finalStatus")),
                moment(a.get("startedTime")),
                max(0, int(a.get("runningContainers") or 0)),
            )
            for a in sorted(apps, key=lambda a: int(a.get("startedTime") or 0))
        ),
    )


@dask.command()
@click.argument("app_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the cluster has ended.")
@json_option
@with_knit
def logs(knit: Knit, app_id: str, follow: bool, as_json: bool) -> None:
    """Print the logs of a cluster's scheduler and workers."""
    show_logs(knit.application(app_id), follow=follow, as_json=as_json, services_only=True)


@dask.command()
@click.argument("app_id", metavar="ID")
@click.argument("n_workers", type=int)
@json_option
@with_knit
def scale(knit: Knit, app_id: str, n_workers: int, as_json: bool) -> None:
    """Set the number of workers; those that go hand over their results first."""
    if n_workers < 0:
        raise ConfigurationError(f"n_workers={n_workers} is negative; 0 is the least")
    cluster = _cluster_class().from_application_id(app_id, knit=knit)
    try:
        cluster.start(n_workers)
        counts = cluster.application.services()["dask.worker"]
    finally:
        cluster.close()
    if as_json:
        print_json(counts)
    else:
        click.echo(f"{app_id}: {counts['running']} of {counts['target']} workers have a container")


@dask.command()
@click.argument("app_id", metavar="ID")
@json_option
@with_knit
def kill(knit: Knit, app_id: str, as_json: bool) -> None:
    """End a cluster; exits with 0 if it has ended, however it ended."""
    from knit_provider.dask.ending import end_application

    app = knit.application(app_id)
    end_application(app, "KILLED", "ended by knit dask kill")
    report = app.report()
    if as_json:
        print_json({"id": app_id, "killed": report.killed, "state": report.state})
    if not report.terminal:
        raise not_ended(app_id, report.state)
    if not as_json:
        click.echo(f"{app_id} {report.final_status}")


def _cluster_class() -> type[DaskYARNCluster]:
    try:
        from knit_provider.dask import DaskYARNCluster
    except ImportError as e:
        raise ConfigurationError(str(e)) from e
    return DaskYARNCluster
