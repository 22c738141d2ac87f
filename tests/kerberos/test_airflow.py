"""Airflow: a connection that carries it all, and whom the cluster does not accept fails at once."""

# ruff: noqa: E402 - Airflow reads the environment when it is first imported

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.scratch import set_home

# A fixture would come too late.
set_home("AIRFLOW_HOME")

pytest.importorskip("airflow.sdk")

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Connection

from knit_provider import Knit
from knit_provider.hooks.connection import knit_arguments
from knit_provider.localcluster import LocalCluster
from knit_provider.operators.knit import KnitKillOperator, KnitStartOperator, KnitWaitOperator
from knit_provider.triggers.knit import TROUBLE, KnitTrigger
from tests.kerberos.conftest import USER, documented_conf


@pytest.mark.parametrize(
    ("extra", "error", "words"),
    [
        ({}, "AuthenticationFailed", "run kinit, or give principal= and keytab="),
        ({"proxy_user": "bob"}, "PermissionDenied", "hadoop.proxyuser.alice.hosts"),
    ],
    ids=["no ticket", "may not act for others"],
)
def test_a_refusal_fails_at_once(
    kerberos_cluster: LocalCluster,
    make_knit: Callable[..., Knit],
    monkeypatch: pytest.MonkeyPatch,
    extra: dict[str, str],
    error: str,
    words: str,
) -> None:
    admin = make_knit()
    before = set(admin.yarn_api.apps)
    realm = kerberos_cluster.realm
    login = {"principal": realm.principal("alice"), "keytab": str(realm.keytab("alice"))} if extra else {}
    connection = {
        "conn_type": "yarn",
        "extra": {"hadoop_conf_dir": str(kerberos_cluster.conf_dir), **login, **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps(connection))
    app_id = "application_1700000000000_0001"
    for operator in (
        KnitStartOperator(task_id="start", command="true"),
        KnitWaitOperator(task_id="wait", app_id=app_id),
        KnitKillOperator(task_id="kill", app_id=app_id),
    ):
        with pytest.raises(AirflowFailException, match=words):
            operator.execute({})

    async def first() -> Any:
        return (await anext(KnitTrigger(app_id, poll_interval=1).run())).payload

    event = asyncio.run(first())
    assert (event["event"], event["error"]) == (TROUBLE, error)
    assert words in event["message"]
    assert set(admin.yarn_api.apps) == before


def test_a_connection_that_carries_it_all(kerberos_cluster: LocalCluster) -> None:
    """That of the documentation's page: no file on the worker, the keytab within."""
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


def test_somebody_elses_application_is_not_ended(
    kerberos_cluster: LocalCluster, make_knit: Callable[..., Knit], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, realm = make_knit(), kerberos_cluster.realm
    app_id = owner.start("sleep 300")
    login = {"principal": realm.principal("bob"), "keytab": str(realm.keytab("bob"))}
    extra = {"hadoop_conf_dir": str(kerberos_cluster.conf_dir), **login}
    monkeypatch.setenv("AIRFLOW_CONN_YARN_DEFAULT", json.dumps({"conn_type": "yarn", "extra": extra}))
    with pytest.raises(AirflowFailException, match=rf"bob lacks the right to modify {app_id}"):
        KnitKillOperator(task_id="kill", app_id=app_id).execute({})
    assert owner.status()["state"] in ("ACCEPTED", "RUNNING")
