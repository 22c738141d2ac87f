"""What the tests on a Hadoop with Kerberos share.

They act as ``knit``, whom Hadoop maps to the user who runs the daemons: without a setuid launcher a node gives logs to
nobody else. Where logs do not matter they act as ``alice``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.kdc import MAPPED_USER
from tests.hadoop.making import knits

USER = MAPPED_USER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to a real HDFS and YARN."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hadoop)


@pytest.fixture(scope="session", autouse=True)
def kerberos_is_there() -> None:
    """Without the system's packages the tests fail at once and say what is missing."""
    if shutil.which("krb5kdc", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.fail("krb5kdc is missing: bash devtools/system_packages.sh")


@pytest.fixture(autouse=True)
def environment(kerberos_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kerberos as this cluster has it, and nobody's tickets."""
    monkeypatch.setenv("KRB5_CONFIG", str(kerberos_cluster.realm.krb5_conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'nobody'}")


def documented_conf(cluster: LocalCluster) -> dict[str, str]:
    """The properties that the documentation's connection and block carry where no file of the cluster's is at hand."""
    names = ("hadoop.security.authentication", "fs.defaultFS", "yarn.resourcemanager.principal")
    return {name: cluster.settings[name] for name in (*names, "dfs.namenode.kerberos.principal")}


@pytest.fixture
def bridge() -> str:
    """What submits; a test may be parametrized over it."""
    return "auto"


@pytest.fixture
def make_knit(kerberos_cluster: LocalCluster, bridge: str) -> Iterator[Callable[..., Knit]]:
    """Make ``Knit`` objects for the cluster; whatever their applications still do at the test's end is killed."""
    realm = kerberos_cluster.realm

    def login(user: str | None) -> dict[str, str]:
        return {} if user is None else {"principal": realm.principal(user), "keytab": str(realm.keytab(user))}

    with knits(kerberos_cluster, bridge) as make:
        yield lambda user=USER, **kwargs: make(**{**login(user), **kwargs})


@pytest.fixture
def knit(make_knit: Callable[..., Knit]) -> Knit:
    """A ``Knit`` with a keytab."""
    return make_knit()
