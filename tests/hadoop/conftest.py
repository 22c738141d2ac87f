"""What the tests on a real Hadoop share. They act as ``alice``, who is somebody else than the daemons' user."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from tests.hadoop.making import knits
from tests.hadoop.support import superuser

USER = "alice"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to a real HDFS and YARN."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hadoop)


@pytest.fixture
def bridge() -> str:
    """What submits; a module that wants another than the default one, or both, has a fixture of this name."""
    return "auto"


@pytest.fixture
def make_knit(cluster: LocalCluster, bridge: str) -> Iterator[Callable[..., Knit]]:
    """Make ``Knit`` objects for the cluster; whatever their applications still do at the test's end is killed."""
    with knits(cluster, bridge) as make:
        yield lambda user=USER, **kwargs: make(user=user, **kwargs)


@pytest.fixture
def knit(make_knit: Callable[..., Knit]) -> Knit:
    """A ``Knit`` for alice."""
    return make_knit()


@pytest.fixture
def marker() -> str:
    """A text that occurs nowhere else."""
    return f"mark-{uuid.uuid4().hex}"


@pytest.fixture
def home_with_quota(cluster: LocalCluster) -> Iterator[Callable[..., str]]:
    """Makes a user with a home directory and a quota on it, as the filesystem's superuser; gives the user's name."""
    made: list[str] = []

    def make(**quota: int) -> str:
        user = f"q{uuid.uuid4().hex[:8]}"
        made.append(user)
        superuser(cluster, "PUT", f"/user/{user}", "MKDIRS", permission="700")
        superuser(cluster, "PUT", f"/user/{user}", "SETOWNER", owner=user)
        superuser(cluster, "PUT", f"/user/{user}", "SETQUOTA", **quota)
        return user

    yield make
    for user in made:
        superuser(cluster, "DELETE", f"/user/{user}", "DELETE", recursive="true")
