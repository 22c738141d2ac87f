"""A Dask cluster where nobody gets in without a ticket."""

from __future__ import annotations

import getpass
from collections.abc import Callable

import pytest

pytest.importorskip("distributed")

from distributed import Client

from knit_provider import DaskYARNCluster, Knit
from knit_provider.localcluster import LocalCluster
from tests.dask.conftest import HERE, are


def test_a_cluster_with_a_keytab(kerberos_cluster: LocalCluster, make_knit: Callable[..., Knit]) -> None:
    knit = make_knit()
    with (
        DaskYARNCluster(knit=knit, n_workers=1, nanny=False, memory=512, env=HERE, dashboard_address=":0") as dask,
        Client(dask) as client,
    ):
        dask.wait_for_workers(1, timeout=180)
        assert dask.scheduler_address.startswith("tls://")
        assert client.submit(getpass.getuser).result(60) == knit.user
        # The control channel, whose secret lies in HDFS for the one user.
        dask.scale(2)
        are(dask, 2)
        app = dask.application
    assert app.report().succeeded
