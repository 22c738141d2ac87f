"""What the tests on a Hadoop with Kerberos, TLS and two of each share.

They act as ``knit``, whose logs a node gives (see ``tests/kerberos``). What they killed is started again before the
next test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.kdc import MAPPED_USER
from tests.hadoop.making import knits


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to a real HDFS and YARN."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.hadoop)


@pytest.fixture(autouse=True)
def both_are_there(secure_ha_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is missing when a test begins; Kerberos as this cluster has it, nobody's tickets or CAs."""
    monkeypatch.setenv("KRB5_CONFIG", str(secure_ha_cluster.realm.krb5_conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'nobody'}")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for daemon in secure_ha_cluster.daemons.values():
        if not daemon.alive:
            daemon.start()
    secure_ha_cluster.wait_ready(120)


@pytest.fixture
def make_knit(secure_ha_cluster: LocalCluster) -> Iterator[Callable[..., Knit]]:
    """Make ``Knit`` objects with a keytab; whatever their applications still do at the test's end is killed."""
    realm = secure_ha_cluster.realm
    login = {"principal": realm.principal(MAPPED_USER), "keytab": str(realm.keytab(MAPPED_USER))}
    with knits(secure_ha_cluster, "rest") as make:
        yield lambda **kwargs: make(**{**login, **kwargs})
