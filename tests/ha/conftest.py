"""What the tests on a Hadoop with two ResourceManagers and two NameNodes share.

A test may kill what it likes. What is dead is started again before the next one, and that waits until one of each is
active and the other could take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from tests.hadoop.making import knits


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to a real HDFS and YARN."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hadoop)


@pytest.fixture(autouse=True)
def both_are_there(ha_cluster: LocalCluster) -> None:
    """Nothing is missing when a test begins."""
    for daemon in ha_cluster.daemons.values():
        if not daemon.alive:
            daemon.start()
    ha_cluster.wait_ready(120)


@pytest.fixture
def bridge() -> str:
    """What submits; a test may be parametrized over it."""
    return "rest"


@pytest.fixture
def make_knit(ha_cluster: LocalCluster, bridge: str) -> Iterator[Callable[..., Knit]]:
    """Make ``Knit`` objects for the cluster; whatever their applications still do at the test's end is killed."""
    with knits(ha_cluster, bridge) as make:
        yield lambda user="alice", **kwargs: make(user=user, **kwargs)


@pytest.fixture
def knit(make_knit: Callable[..., Knit]) -> Knit:
    """A ``Knit`` for alice."""
    return make_knit()
