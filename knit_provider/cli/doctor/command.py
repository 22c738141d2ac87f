"""The command, and the order in which things are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from knit_provider.cli.doctor.access import access_looks
from knit_provider.cli.doctor.availability import of_managers, of_namenodes
from knit_provider.cli.doctor.finding import Finding
from knit_provider.cli.doctor.kerberos import kerberos_looks
from knit_provider.cli.doctor.web import certificates_found, gateway_found
from knit_provider.cli.options import json_option, with_knit
from knit_provider.cli.output import print_json
from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.gateway.classes import find_hadoop
from knit_provider.yarn.gateway.java import find_java
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.submission.am_launch import package_file


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
        where = f"{connection.session.active_address}, {_authentication(knit)}"
        return f"{info.get('state')}, {info.get('haState')}, Hadoop {info.get('hadoopVersion')}, at {where}"

    def nodes() -> str:
        found = knit.yarn_api.nodes()
        running = [n for n in found if n.get("state") == "RUNNING"]
        if not running:
            raise KnitError(f"{len(found)} nodes, none of them running")
        return f"{len(running)} of {len(found)} running"

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
    if connection.session.topology is not None:
        yield _try("HTTP gateway", lambda: gateway_found(knit))
    if any(address.startswith("https:") for address in connection.session.addresses):
        yield _try("TLS", lambda: certificates_found(knit))
    for what, look in kerberos_looks(knit):
        yield _try(what, look)
    yield _try("ResourceManager", cluster)
    yield from of_managers(knit)
    yield _try("nodes", nodes)
    yield from of_namenodes(knit)
    for what, look in access_looks(knit):
        yield _try(what, look)
    yield _try("log aggregation", aggregation)
    yield _try("jar", lambda: str(package_file("knit.jar")))
    yield _try("Java", java)
    yield _try(
        "gateway JVM" if connection.session.topology else "gateway",
        lambda: f"submits as {connection.bridge.hello()['user']}",
    )


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return what, True, look()
    except (KnitError, OSError) as e:
        return what, False, str(e)


def _authentication(knit: Knit) -> str:
    connection = knit.connection
    if connection.secure and not connection.conf.password:
        return f"as {connection.caller} by {'borrowed tokens' if connection.by_tokens else 'Kerberos'}"
    return (
        f"as {connection.caller} by {'password' if connection.conf.password else 'name alone (simple authentication)'}"
    )
