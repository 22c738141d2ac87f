"""pytest fixtures, each a Hadoop for the session.

They are ``cluster``, ``kerberos_cluster``, ``tls_cluster``, ``ha_cluster`` and ``secure_ha_cluster``. All are checked
for leftovers at the end.

Use it with ``pytest_plugins = ["knit_provider.localcluster.pytest_plugin"]`` in the root ``conftest.py``.

Environment:
    KNIT_TEST_CLUSTER: folder of a cluster that is up already (``knit cluster up -d DIR --queue stopped:STOPPED``); the
        session uses it and leaves it up. Without it the session starts its own in a temporary folder.
    KNIT_TEST_KERBEROS_CLUSTER: the same for the fixture ``kerberos_cluster`` (``knit cluster up -d DIR --kerberos``).
    KNIT_TEST_TLS_CLUSTER: the same for the fixture ``tls_cluster`` (``knit cluster up -d DIR --tls -n 1``).
    KNIT_TEST_HA_CLUSTER: the same for the fixture ``ha_cluster`` (``knit cluster up -d DIR --ha --nodes 1``).
    KNIT_TEST_SECURE_HA_CLUSTER: the same for the fixture ``secure_ha_cluster`` (``knit cluster up -d DIR --ha
        --kerberos --tls -n 1 -D dfs.namenode.delegation.token.renew-interval=40000``).
    KNIT_TEST_HADOOP_VERSION: Hadoop of a cluster of the session's own; 3.5.0 by default.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from knit_provider.localcluster.cluster import KERBEROS_VERSION, LocalCluster
from knit_provider.localcluster.java import locate_java, newest_java
from knit_provider.localcluster.leftovers import wait_for_rest

# One that takes nothing, for tests of what the scheduler refuses.
TEST_QUEUES = {"stopped": {"state": "STOPPED"}}

# A token that nobody renews ends within a test's patience, and a takeover of YARN does not last as long.
TEST_TOKENS = {"dfs.namenode.delegation.token.renew-interval": "40000"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A running embedded Hadoop. The session fails if anything of the tests is left in it at the end."""
    version = os.environ.get("KNIT_TEST_HADOOP_VERSION")
    yield from _running("KNIT_TEST_CLUSTER", hadoop_version=version, queues=TEST_QUEUES)


@pytest.fixture(scope="session")
def kerberos_cluster() -> Iterator[LocalCluster]:
    """A running embedded Hadoop with Kerberos and one NodeManager; nobody's environment is changed.

    A test sets ``KRB5_CONFIG`` to ``kerberos_cluster.realm.krb5_conf`` for itself; keytabs, principals and tickets are
    in ``kerberos_cluster.realm`` too.
    """
    yield from _running("KNIT_TEST_KERBEROS_CLUSTER", nodes=1, kerberos=True)


@pytest.fixture(scope="session")
def tls_cluster() -> Iterator[LocalCluster]:
    """A running embedded Hadoop with TLS on every web port and one NodeManager."""
    yield from _running("KNIT_TEST_TLS_CLUSTER", nodes=1, tls=True)


@pytest.fixture(scope="session")
def ha_cluster() -> Iterator[LocalCluster]:
    """A running embedded Hadoop with two ResourceManagers, two NameNodes and one NodeManager.

    A test may kill the active one of two, and starts it again: ``ha_cluster.active("namenode").kill()``.
    """
    yield from _running("KNIT_TEST_HA_CLUSTER", nodes=1, ha=True)


@pytest.fixture(scope="session")
def secure_ha_cluster() -> Iterator[LocalCluster]:
    """A running embedded Hadoop with Kerberos, TLS, two of each and one NodeManager.

    It is what ``kerberos_cluster``, ``tls_cluster`` and ``ha_cluster`` are, all at once. Its delegation tokens have to
    be renewed every 40 s.
    """
    yield from _running("KNIT_TEST_SECURE_HA_CLUSTER", nodes=1, ha=True, kerberos=True, tls=True, overrides=TEST_TOKENS)


def _running(variable: str, **settings: Any) -> Iterator[LocalCluster]:
    reused = os.environ.get(variable)
    if reused:
        found = LocalCluster(reused)
        status = found.status()
        if not status.is_up:
            pytest.fail(f"{variable} is {reused}, where the cluster is {status.state}. Start it: knit cluster up")
        yield found
        fail_on_leftovers(found)
        return
    if settings.get("kerberos"):
        _skip_where_java_is_too_new()
    own = LocalCluster(tempfile.mkdtemp(prefix="knit-test-"), temporary=True, **settings)
    with own:
        yield own
        fail_on_leftovers(own)


def _skip_where_java_is_too_new() -> None:
    java, newest = locate_java(os.environ), newest_java(KERBEROS_VERSION)
    if newest is not None and java.major > newest:
        pytest.skip(
            f"a cluster with Kerberos runs Hadoop {KERBEROS_VERSION}, which needs Java {newest} at the newest; this is "
            f"{java.major} ({java.home}). Set JAVA_HOME"
        )


def fail_on_leftovers(cluster: LocalCluster, seconds: float = 15.0) -> None:
    """Fails the test or fixture that calls it if a cluster that should be at rest is not.

    Args:
        cluster: a running cluster.
        seconds: how long what has just ended may take to be cleaned up.
    """
    lines = wait_for_rest(cluster.plan, seconds)
    if lines:
        pytest.fail("The tests left this behind:\n" + "\n".join(f"  {line}" for line in lines), pytrace=False)
