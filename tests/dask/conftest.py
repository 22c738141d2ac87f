"""What the tests of Dask clusters share: one cluster with two workers, which each test leaves as it found it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from knit_provider import DaskYARNCluster
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import KnitError
from tests.hadoop.eventually import eventually

HERE = f"python://{sys.executable}"
"""The running environment, which this one machine's nodes have too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to a real HDFS and YARN."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hadoop)


def defaults(cluster: LocalCluster) -> dict[str, Any]:
    """Arguments of a small cluster that uses no fixed port."""
    return {
        "hadoop_conf_dir": str(cluster.conf_dir),
        "hadoop_home": str(cluster.hadoop_home),
        "user": "alice",
        "env": HERE,
        "memory": 512,
        "dashboard_address": ":0",
    }


def are(cluster: DaskYARNCluster, count: int) -> None:
    """Wait until Dask and YARN both have so many workers, and nobody wants another number."""

    def exact() -> bool:
        service = cluster.application.services()["dask.worker"]
        return (
            len(cluster.observed) == count
            and len(cluster.worker_spec) == count
            and (service["target"], service["running"]) == (count, count)
        )

    eventually(exact, seconds=180)


@pytest.fixture
def make(cluster: LocalCluster) -> Iterator[Callable[..., DaskYARNCluster]]:
    """Make clusters; each has ended by the test's end, and its application too."""
    made: list[DaskYARNCluster] = []

    def one(**kwargs: Any) -> DaskYARNCluster:
        found = DaskYARNCluster(**{**defaults(cluster), **kwargs})
        made.append(found)
        return found

    yield one
    for each in made:
        with contextlib.suppress(KnitError):
            each.shutdown()


@pytest.fixture(scope="module")
def shared(cluster: LocalCluster) -> Iterator[DaskYARNCluster]:
    """A cluster with its scheduler in this process."""
    with DaskYARNCluster(n_workers=2, name="shared", **{**defaults(cluster), "memory": 1536}) as found:
        found.wait_for_workers(2, timeout=180)
        yield found
        app = found.application
    assert app.report().succeeded


@pytest.fixture
def client(shared: DaskYARNCluster) -> Iterator[Client]:
    """A client of the shared cluster, which has its two workers."""
    are(shared, 2)
    with Client(shared) as found:
        yield found
    shared.scale(2)
