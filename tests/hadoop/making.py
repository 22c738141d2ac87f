"""``Knit`` objects for tests, and the end of what they started."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ApplicationNotFound


@contextmanager
def knits(cluster: LocalCluster, bridge: str) -> Iterator[Callable[..., Knit]]:
    """Make ``Knit`` objects for a cluster; whatever their applications still do at the end is killed."""
    made: list[Knit] = []

    def make(**kwargs: Any) -> Knit:
        defaults = {
            "hadoop_conf_dir": str(cluster.conf_dir),
            "hadoop_home": str(cluster.hadoop_home),
            "bridge": bridge,
        }
        knit = Knit(**{**defaults, **kwargs})
        made.append(knit)
        return knit

    yield make
    for knit in made:
        for app_id in list(knit._applications):
            with contextlib.suppress(ApplicationNotFound):
                if not knit.application(app_id).report().terminal:
                    knit.kill(app_id)
        knit.close()
