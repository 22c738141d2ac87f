"""`make soak`: starts, kills and finishes applications for a while and looks whether anything piles up.

What piles up where nothing should: processes and open files of this process and its gateway, staging folders in HDFS,
applications that run on.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import psutil

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.leftovers import wait_for_rest

FATES = ("finish", "fail", "kill", "kill at once", "scale")


def one_application(knit: Knit, fate: str) -> None:
    """Start one application and bring it to its end.

    Raises:
        AssertionError: it did not end as its fate says.
    """
    if fate in ("finish", "fail"):
        knit.start("exit 0" if fate == "finish" else "exit 3", num_containers=random.randint(1, 4))  # noqa: S311
        assert knit.wait_for_completion(timeout=120) is (fate == "finish"), f"{knit.status()}"
        assert knit.logs(), "no logs"
        return
    knit.start("sleep 600", num_containers=2)
    if fate == "scale":
        knit.add_containers(2)
        knit.remove_containers([c["id"] for c in knit.get_containers() if c["service"] is not None][:1])
    elif fate == "kill":
        knit.get_containers()
    assert knit.kill(), f"{knit.status()}"


def used() -> dict[str, int]:
    """What this process and its children hold."""
    me = psutil.Process()
    children = me.children(recursive=True)
    return {
        "processes": len(children),
        "threads": me.num_threads(),
        "open files": me.num_fds(),
        "open files of children": sum(c.num_fds() for c in children),
        "memory MiB": sum(p.memory_info().rss for p in [me, *children]) >> 20,
    }


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True)
def main(minutes: float) -> None:
    """Run applications for so long; ends with what is left and exit code 1 if that is too much."""
    fates: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="knit-soak-") as folder, LocalCluster(Path(folder) / "cluster") as cluster:
        with Knit(user="alice", hadoop_conf_dir=str(cluster.conf_dir), hadoop_home=str(cluster.hadoop_home)) as knit:
            for fate in FATES:
                one_application(knit, fate)
            first = used()
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end:
                fate = random.choice(FATES)  # noqa: S311
                one_application(knit, fate)
                fates[fate] += 1
                if sum(fates.values()) % 10 == 0:
                    print(f"{sum(fates.values())} applications; {used()}", flush=True)
            last = used()
        left = wait_for_rest(cluster.plan, 30)
    grown = {k: (first[k], n) for k, n in last.items() if n > first[k] * 1.5 + 16}
    for line in left:
        print(f"left behind: {line}")
    for name, (before, after) in grown.items():
        print(f"grew: {name} from {before} to {after}")
    verdict = "FAILED" if left or grown else "OK"
    print(f"soak: {verdict}: {sum(fates.values())} applications ({dict(fates)}); at the end {last}")
    sys.exit(1 if left or grown else 0)


if __name__ == "__main__":
    main()
