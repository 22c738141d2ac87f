"""Writes down which classes an ApplicationMaster loads until it launches its first container.

    python -m devtools.am_classes [--cluster FOLDER]

The list is a resource of knit.jar: at its start an ApplicationMaster loads these classes in a second thread, and the
rehearsal that makes a class archive loads what it can't reach without a cluster. A name that another Hadoop or Java
doesn't have costs next to nothing, so the list is made anew only when the ApplicationMaster's start has changed.
"""

from __future__ import annotations

import functools
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.submission import am_launch

TARGET = Path(__file__).parent.parent / "jvm/src/main/resources/io/knitprovider/am/classes.txt"

# "[0.123s] a.b.C source: jrt:/java.base" or "... source: file:/.../x.jar"; those of the JDK's own archive need no help.
_LOADED = re.compile(r"\S+ (?P<name>[\w.$]+) source: (?P<source>jrt:|file:)")
# The first launch is the last thing that somebody waits for.
_LAST = "org.apache.hadoop.yarn.proto.YarnServiceProtos$StartContainersResponseProto"


def record(cluster: LocalCluster, log: Path) -> None:
    """Run an application whose ApplicationMaster writes into ``log`` what it loads."""
    plain = am_launch.am_launch
    am_launch.am_launch = functools.partial(plain, java_options=f"-Xlog:class+load:file={log}:uptime")  # type: ignore[assignment]
    try:
        with Knit(hadoop_conf_dir=str(cluster.conf_dir), hadoop_home=str(cluster.hadoop_home)) as knit:
            knit.start("true")
            if not knit.wait_for_completion(120):
                sys.exit(f"the application did not succeed: {knit.status()}")
    finally:
        am_launch.am_launch = plain


def names(log: Path) -> Iterator[str]:
    """The classes in the order in which they were loaded, up to the first launch."""
    for line in log.read_text().splitlines():
        found = _LOADED.match(line)
        # Classes that are made as the program runs have a slash and an address in their names.
        if found and "$Proxy" not in found["name"] and "$$Lambda" not in found["name"]:
            yield found["name"]
            if found["name"] == _LAST:
                return


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.option("--cluster", type=click.Path(file_okay=False, exists=True), help="folder of an embedded cluster")
def main(cluster: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="knit-classes-") as folder:
        log = Path(folder) / "loaded.log"
        if cluster:
            record(LocalCluster(cluster), log)
        else:
            with LocalCluster(Path(folder) / "cluster", temporary=True) as own:
                record(own, log)
        found = list(dict.fromkeys(names(log)))
    TARGET.write_text("".join(f"{name}\n" for name in found))
    click.echo(f"{len(found)} classes written to {TARGET.relative_to(TARGET.parents[6])}")


if __name__ == "__main__":
    main()
