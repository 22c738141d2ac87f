"""From an Airflow connection to the arguments of ``Knit``."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from airflow.sdk import Connection

from knit_provider.hooks.connection import EXTRAS, knit_arguments
from knit_provider.hooks.knit import KnitHook
from knit_provider.provider_info import get_provider_info
from knit_provider.yarn.errors import ConfigurationError


def translated(extra: Any = None, **fields: Any) -> tuple[dict[str, Any], str | None, list[str]]:
    warnings: list[str] = []
    if extra is not None and not isinstance(extra, str):
        extra = json.dumps(extra)
    connection = Connection(conn_id="c", conn_type="yarn", extra=extra, **fields)
    arguments, queue = knit_arguments(connection, warnings.append)
    return arguments, queue, warnings


def test_an_empty_connection_sets_nothing() -> None:
    assert translated() == ({}, None, [])


def test_hosts_and_port() -> None:
    assert translated(host="rm")[0] == {"rm_addresses": ["rm:8088"]}
    assert translated(host="rm1, rm2:8090,", port=8188)[0] == {"rm_addresses": ["rm1:8188", "rm2:8090"]}
    assert translated(host="https://knox", port=8443)[0] == {"rm_addresses": ["knox:8443"], "scheme": "https"}


def test_user_and_extras() -> None:
    arguments, queue, warnings = translated(
        {
            "scheme": "https",
            "hadoop_conf_dir": "/etc/hadoop/conf",
            "hadoop_conf": {"dfs.replication": 1},
            "rm_addresses": ["a:1", "b:2"],
            "namenode": "hdfs://ns1",
            "gateway_path": "/gateway/x",
            "ca_bundle": "/etc/ca.pem",
            "queue": "etl",
            "hdfs_home": "/data/etl",
            "bridge": "jvm",
            "staging": "",
        },
        host="ignored",
        login="alice",
        password="s3",
    )
    assert queue == "etl"
    assert warnings == []
    assert arguments == {
        "scheme": "https",
        "hadoop_conf_dir": "/etc/hadoop/conf",
        "pars": {"dfs.replication": 1},
        "rm_addresses": ["a:1", "b:2"],
        "nn": "hdfs://ns1",
        "gateway_path": "/gateway/x",
        "ca_bundle": "/etc/ca.pem",
        "hdfs_home": "/data/etl",
        "bridge": "jvm",
        "user": "alice",
        "password": "s3",
    }


def test_a_login_and_whom_it_acts_for() -> None:
    login = {"principal": "etl@EXAMPLE.COM", "keytab_base64": "BQI=", "proxy_user": "alice", "ccache": "FILE:/c"}
    assert translated({**login, "keytab": ""}) == (login, None, [])
    fields = get_provider_info()["connection-types"][0]["conn-fields"]  # type: ignore[index]
    assert fields["keytab_base64"]["schema"]["format"] == "password"


def test_a_keytab_is_in_no_message() -> None:
    with pytest.raises(ConfigurationError, match="connection c: keytab_base64 is a list; give text"):
        translated({"keytab_base64": ["the key"]})


def test_a_keytab_is_masked_in_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, name=None: masked.append(secret))
    translated({"keytab_base64": "BQIAAA==", "principal": "etl@EXAMPLE.COM"})
    assert masked == ["BQIAAA=="]


def test_properties_may_be_text_as_the_form_sends_them() -> None:
    assert translated({"hadoop_conf": '{"a.b": "c"}'})[0] == {"pars": {"a.b": "c"}}


@pytest.mark.parametrize("name", ["java_home", "quue"])
def test_an_unknown_extra_warns_and_has_no_effect(name: str) -> None:
    arguments, _, warnings = translated({name: "x"})
    assert arguments == {}
    assert len(warnings) == 1
    assert name in warnings[0]


@pytest.mark.parametrize(
    ("extra", "fields", "words"),
    [
        ("{", {}, "extra is not JSON"),
        ("[1]", {}, "extra is a list"),
        ({"scheme": "ftp"}, {}, "scheme='ftp'"),
        ({"hadoop_conf": "{"}, {}, "hadoop_conf is not JSON"),
        ({"hadoop_conf": [1]}, {}, "hadoop_conf is a list"),
        ({"rm_addresses": 7}, {}, "rm_addresses=7"),
        ({"queue": 7}, {}, "queue=7"),
        (None, {"host": "rm/path"}, "'rm/path'"),
        (None, {"host": "rm:port"}, "'rm:port'"),
    ],
)
def test_what_cannot_be_used_is_named(extra: Any, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        translated(extra, **fields)
    assert words in str(caught.value)
    assert "connection c" in str(caught.value)


def test_the_form_offers_every_extra() -> None:
    (connection_type,) = get_provider_info()["connection-types"]  # type: ignore[misc,attr-defined]
    assert set(connection_type["conn-fields"]) == set(EXTRAS)


def test_without_a_connection_the_process_configuration_counts() -> None:
    hook = KnitHook(yarn_conn_id=None)
    assert hook.queue is None
    assert hook._arguments == {}
