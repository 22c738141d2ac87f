"""A gateway in front of a cluster with Kerberos: the user has a password, and only the gateway has a ticket."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.kdc import GATEWAY, REALM
from knit_provider.localcluster.users import daemon_user
from tests.hadoop.behind_gateway import Gateway, gateway_before, knits_through, nothing_else_reachable, ports_of
from tests.hadoop.eventually import eventually


@pytest.fixture(scope="module")
def gateway(kerberos_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It may act for the daemons' user and alice, and not for bob, whom it lets in too."""
    realm = kerberos_cluster.realm
    with gateway_before(
        kerberos_cluster,
        tmp_path_factory.mktemp("knox"),
        users=(daemon_user(), "alice", "bob"),
        environment={**os.environ, **realm.environment()},
        principal=f"{GATEWAY}/127.0.0.1@{REALM}",
        keytab=str(realm.keytab(GATEWAY)),
    ) as started:
        yield started


@pytest.fixture
def through(gateway: Gateway) -> Iterator[Callable[..., Knit]]:
    with knits_through(gateway) as make:
        yield make


@pytest.fixture(autouse=True)
def tried(gateway: Gateway, environment: None) -> Iterator[set[int]]:
    with nothing_else_reachable(gateway) as ports:
        yield ports


def test_a_whole_job(through):
    knit = through(user=daemon_user())
    app_id = knit.start('base64 -w0 "$HADOOP_TOKEN_FILE_LOCATION"; sleep 20', memory=256)
    import time; time.sleep(8)
    print(knit.status())
    try:
        print(knit.logs())
    except Exception as e:
        print("LIVE", repr(e))
    knit.wait_for_completion(60)
    print(knit.status())
    print(knit.logs())
