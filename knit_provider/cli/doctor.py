"""``knit doctor``: what works from here and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from knit_provider.cli.availability import Finding, of_managers, of_namenodes
from knit_provider.cli.options import json_option, with_knit
from knit_provider.cli.output import print_json
from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.gateway.classes import find_hadoop
from knit_provider.yarn.gateway.java import find_java
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.submission.am_launch import package_file
from knit_provider.yarn.submission.staging import open_base


@click.command()
@json_option
@with_knit
def doctor(knit: Knit, as_json: bool) -> None:
    """Look at everything an application needs, from here to the cluster; exits with 1 if something is missing."""
    findings = list(_findings(knit))
    if as_json:
        print_json([{"what": what, "ok": ok, "found": found} for what, ok, found in findings])
    else:
        for what, ok, found in findings:
            click.echo(f"{click.style('ok  ', fg='green') if ok else click.style('FAIL', fg='red')} {what:20} {found}")
    if not all(ok for _, ok, _ in findings):
        raise click.exceptions.Exit(1)


def _findings(knit: Knit) -> Iterator[Finding]:
    connection = knit.connection

    def cluster() -> str:
        info = knit.yarn_api.cluster_info()
        return f"{info.get('state')}, {info.get('haState')}, Hadoop {info.get('hadoopVersion')}"

    def nodes() -> str:
        found = knit.yarn_api.nodes()
        running = [n for n in found if n.get("state") == "RUNNING"]
        if not running:
            raise KnitError(f"{len(found)} nodes, none of them running")
        return f"{len(running)} of {len(found)} running"

    def home() -> str:
        base = open_base(connection.files, connection.paths, connection.user)
        if base.refusal:
            raise KnitError(base.refusal)
        return base.paths.base

    def java() -> str:
        hadoop = find_hadoop(connection.hadoop_home)
        found = find_java(hadoop.version, connection.java_home)
        return f"{found.home} (Java {found.version}) with Hadoop {hadoop.version}"

    def aggregation() -> str:
        if not connection.full_conf.get_bool("yarn.log-aggregation-enable"):
            raise KnitError("off (yarn.log-aggregation-enable): logs are lost when an application ends")
        return "on"

    yield _try("configuration", lambda: connection.conf.search_description())
    yield _try("user", lambda: knit.user)
    yield _try("ResourceManager", cluster)
    yield from of_managers(knit)
    yield _try("nodes", nodes)
    yield from of_namenodes(knit)
    yield _try("filesystem", home)
    yield _try("log aggregation", aggregation)
    yield _try("jar", lambda: str(package_file("knit.jar")))
    yield _try("Java", java)
    yield _try("gateway", lambda: f"submits as {connection.bridge.hello()['user']}")


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return what, True, look()
    except (KnitError, OSError) as e:
        return what, False, str(e)
