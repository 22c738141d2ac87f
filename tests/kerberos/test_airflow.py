"""Airflow's operators and triggers where the cluster does not accept who they say they are: they fail at once."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

# Read when Airflow is first imported, so a fixture would come too late.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="knit-test-airflow-"))

pytest.importorskip("airflow.sdk")

from airflow.providers.common.compat.sdk import AirflowFailException

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.operators.knit import KnitKillOperator, KnitStartOperator, KnitWaitOperator
from knit_provider.triggers.knit import TROUBLE, KnitTrigger


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
