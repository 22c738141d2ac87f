"""What the tests on a Hadoop with TLS share. They act as ``alice``, who is somebody else than the daemons' user."""

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
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's CAs."""
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def make_knit(tls_cluster: LocalCluster) -> Iterator[Callable[..., Knit]]:
    """Make ``Knit`` objects for the cluster; whatever their applications still do at the test's end is killed."""
    with knits(tls_cluster, "rest") as make:
        yield lambda **kwargs: make(**{"user": "alice", **kwargs})


@pytest.fixture
def make_bare(tls_cluster: LocalCluster) -> Iterator[Callable[..., Knit]]:
    """The same, without any file of Hadoop's: only an address and what the test gives."""
    with knits(tls_cluster, "rest") as make:
        yield lambda **kwargs: make(
            **{
                "user": "alice",
                "hadoop_conf_dir": None,
                "autodetect": False,
                "rm_addresses": [tls_cluster.rm_web],
                "scheme": "https",
                **kwargs,
            }
        )
