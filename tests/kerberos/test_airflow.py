"""The Airflow connection of the documentation's Kerberos page: no file on the worker, the keytab within."""

from __future__ import annotations

import base64
import json

import pytest

pytest.importorskip("airflow.sdk")

from airflow.sdk import Connection

from knit_provider import Knit
from knit_provider.hooks.connection import knit_arguments
from knit_provider.localcluster import LocalCluster
from tests.kerberos.conftest import USER, documented_conf


def test_a_connection_that_carries_it_all(kerberos_cluster: LocalCluster) -> None:
    realm = kerberos_cluster.realm
    host, _, port = kerberos_cluster.rm_web.rpartition(":")
    extra = {
        "hadoop_conf": documented_conf(kerberos_cluster),
        "principal": realm.principal(USER),
        "keytab_base64": base64.b64encode(realm.keytab(USER).read_bytes()).decode(),
    }
    connection = Connection(conn_id="c", conn_type="yarn", host=host, port=int(port), extra=json.dumps(extra))
    warnings: list[str] = []
    arguments, _ = knit_arguments(connection, warnings.append)
    assert not warnings
    knit = Knit(**arguments)
    try:
        app_id = knit.start("true")
        assert knit.wait_for_completion(60), knit.status(app_id)
    finally:
        knit.close()
