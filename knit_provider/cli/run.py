"""``knit run``: a command in containers, as if it ran here."""

from __future__ import annotations

import click

from knit_provider.cli.options import pairs, with_knit
from knit_provider.cli.output import print_lines, say
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.logs.lines import WholeLines


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("-n", "--num-containers", default=1, show_default=True, help="How many containers run the command.")
@click.option("--memory", default="128", show_default=True, help="Of each: MiB, or with a suffix such as 2GiB.")
@click.option("--vcores", default=1, show_default=True, help="Virtual cores of each.")
@click.option("--env", help="A packed Python environment: archive or hdfs:// URI, or python:///path.")
@click.option("-e", "--envvar", multiple=True, metavar="NAME=VALUE", help="Environment variable; may be repeated.")
@click.option("--file", "files", multiple=True, metavar="PATH", help="File or archive to ship; may be repeated.")
@click.option("--queue", default="default", show_default=True)
@click.option("--name", "app_name", default="knit", show_default=True)
@click.option("--no-checks", is_flag=True, help="Leave out the checks before submission.")
@click.argument("command", nargs=-1, required=True)
@with_knit
def run(
    knit: Knit,
    num_containers: int,
    memory: str,
    vcores: int,
    env: str | None,
    envvar: tuple[str, ...],
    files: tuple[str, ...],
    queue: str,
    app_name: str,
    no_checks: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND in containers, show its logs and exit with its code.

    One argument is a shell command; several are a program and its arguments, which no shell touches. The application
    ends with this command, however this command ends.
    """
    app_id = knit.start(
        command[0] if len(command) == 1 else list(command),
        num_containers=num_containers,
        virtual_cores=vcores,
        memory=memory,
        env=env,
        files=list(files),
        envvars=pairs("--envvar", envvar),
        app_name=app_name,
        queue=queue,
        checks=not no_checks,
        bound=True,
    )
    say(app_id)
    app = knit.application(app_id)
    lines = WholeLines()
    try:
        for chunk in app.iter_logs(follow=True):
            if chunk.service is None or chunk.file not in ("stdout", "stderr"):
                continue
            if num_containers > 1:
                print_lines(chunk, lines.add(chunk))
            else:
                click.echo(chunk.text, err=chunk.file == "stderr", nl=False)
    finally:
        for rest in lines.rest():
            print_lines(rest, [rest.text])
    report = app.wait()
    say(f"{app_id} {report.final_status}")
