"""``knit submit | list | status | logs | wait | kill | scale``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from knit_provider.cli.exit_codes import FAILED
from knit_provider.cli.options import json_option, with_knit
from knit_provider.cli.output import moment, not_ended, print_json, print_table, say, show_logs, told_or_ended
from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import FINAL_STATES, LIVE_STATES
from knit_provider.yarn.rights import hides_details, may_not_view
from knit_provider.yarn.spec import ApplicationSpec


@click.command()
@click.argument("spec_file", metavar="SPEC", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--skein", is_flag=True, help="SPEC is a specification of Skein, read unchanged.")
@click.option("--app-id", help="An id made by `new_application` and stored beforehand; never submits twice.")
@click.option("--no-checks", is_flag=True, help="Leave out the checks before submission.")
@json_option
@with_knit
def submit(knit: Knit, spec_file: Path, skein: bool, app_id: str | None, no_checks: bool, as_json: bool) -> None:
    """Submit the application that SPEC (YAML or JSON) describes and print its id. It lives on without this command."""
    spec = ApplicationSpec.from_skein(spec_file) if skein else ApplicationSpec.from_file(spec_file)
    submitted = knit.submit(spec, app_id=app_id, checks=not no_checks, bound=False)
    # Who gave the id knows it.
    with nullcontext() if app_id is not None else told_or_ended(submitted, lambda: knit.kill(submitted)):
        if as_json:
            print_json({"id": submitted})
        else:
            click.echo(submitted)


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Ended ones too.")
@click.option("--type", "app_type", default="knit", show_default=True, help="Application type; 'any' for all.")
@click.option("--mine", is_flag=True, help="Only those of the acting user.")
@json_option
@with_knit
def list_(knit: Knit, every: bool, app_type: str, mine: bool, as_json: bool) -> None:
    """List applications."""
    apps = knit.yarn_api.find(
        states=None if every else LIVE_STATES,
        types=None if app_type == "any" else [app_type],
        user=knit.user if mine else None,
    )
    if as_json:
        print_json(apps)
        return
    columns = ("ID", "NAME", "USER", "QUEUE", "STATE", "FINAL", "STARTED")
    print_table(
        columns,
        (
            (
                a["id"],
                a.get("name"),
                a.get("user"),
                a.get("queue"),
                a.get("state"),
                a.get("finalStatus"),
                moment(a.get("startedTime")),
            )
            for a in sorted(apps, key=lambda a: int(a.get("startedTime") or 0))
        ),
    )


@click.command()
@click.argument("app_id", metavar="ID")
@json_option
@with_knit
def status(knit: Knit, app_id: str, as_json: bool) -> None:
    """Show an application, its services and containers."""
    app = knit.application(app_id)
    report = app.report()
    found = dict(report.raw)
    if hides_details(report, knit.user):
        say(may_not_view(knit.user, app_id, report.user))
    services: dict[str, Any] = {}
    containers: list[dict[str, Any]] = []
    if found.get("state") == "RUNNING" and found.get("applicationType") == "knit":
        try:
            services, containers = app.services(), app.containers()
        except KnitError as e:
            say(f"{e}")
    if as_json:
        print_json({**found, "services": services, "containers": containers})
        return
    keys = ("id", "name", "user", "queue", "state", "finalStatus", "progress", "trackingUrl", "diagnostics")
    for key in keys:
        if found.get(key) not in (None, ""):
            click.echo(f"{key:12} {found[key]}")
    for key in ("startedTime", "finishedTime"):
        if moment(found.get(key)):
            click.echo(f"{key:12} {moment(found[key])}")
    if services:
        click.echo()
        names = ("target", "pending", "running", "succeeded", "failed", "restarts")
        print_table(
            ("SERVICE", *(n.upper() for n in names)), ((s, *(v.get(n, "") for n in names)) for s, v in services.items())
        )
    if containers:
        click.echo()
        columns = ("id", "service", "index", "node", "state", "exit_code")
        print_table(
            [k.upper() for k in columns], ([("" if c.get(k) is None else c[k]) for k in columns] for c in containers)
        )


@click.command()
@click.argument("app_id", metavar="ID")
@click.option("--follow", "-f", is_flag=True, help="Go on until the application has ended.")
@click.option("--aggregated", is_flag=True, help="Only what the cluster has collected after the end.")
@json_option
@with_knit
def logs(knit: Knit, app_id: str, follow: bool, aggregated: bool, as_json: bool) -> None:
    """Print the logs of all containers of an application, running or ended."""
    show_logs(knit.application(app_id), follow=follow, aggregated=aggregated, as_json=as_json)


@click.command()
@click.argument("app_id", metavar="ID")
@click.option("--timeout", type=float, help="Seconds; without it, to the end.")
@json_option
@with_knit
def wait(knit: Knit, app_id: str, timeout: float | None, as_json: bool) -> None:
    """Wait for an application's end; exits with the first failing container's code, or 124 after the timeout."""
    report = knit.application(app_id).wait(timeout)
    if as_json:
        print_json(dict(report.raw))
    else:
        click.echo(f"{report.id} {report.final_status}")


@click.command()
@click.argument("app_id", metavar="ID")
@json_option
@with_knit
def kill(knit: Knit, app_id: str, as_json: bool) -> None:
    """Kill an application; exits with 0 if it ended KILLED, 1 if it had ended before, 124 if it goes on so far."""
    state = "KILLED" if knit.kill(app_id) else knit.runtime_status(app_id)
    if as_json:
        print_json({"id": app_id, "killed": state == "KILLED", "state": state})
    if state not in FINAL_STATES:
        raise not_ended(app_id, state)
    if not as_json:
        click.echo(f"{app_id} {'' if state == 'KILLED' else 'had ended before: '}{state}")
    if state != "KILLED":
        raise click.exceptions.Exit(FAILED)


@click.command()
@click.argument("app_id", metavar="ID")
@click.argument("service")
@click.argument("instances", type=int)
@json_option
@with_knit
def scale(knit: Knit, app_id: str, service: str, instances: int, as_json: bool) -> None:
    """Set the number of instances of a SERVICE."""
    if instances < 0:
        raise ConfigurationError(f"instances={instances} is negative; 0 is the least")
    done = knit.application(app_id).scale(service, instances)
    if as_json:
        print_json(done)
    else:
        added, removed = len(done.get("added", [])), len(done.get("removed", []))
        click.echo(f"{service}: target {done.get('target')}, {added} asked for, {removed} stopped")
