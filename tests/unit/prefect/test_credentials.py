"""``YarnCredentials``: which fields make which arguments of ``Knit``, and what is refused."""

from __future__ import annotations

import base64
import gc
import stat
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prefect")

from pydantic import ValidationError

from knit_provider.hooks.connection import EXTRAS
from knit_provider.prefect import YarnCredentials, YarnJob
from knit_provider.prefect.jobs import job_of
from knit_provider.prefect.pool import YarnJobConfiguration, worker_tag
from knit_provider.yarn.errors import ConfigurationError

KEYTAB = base64.b64encode(b"\x05\x02 a keytab").decode()


def test_fields_become_arguments() -> None:
    block = YarnCredentials(
        host="rm1,rm2:8090",
        port=8088,
        user="alice",
        password="secret",
        scheme="https",
        gateway_path="/gateway/default/resourcemanager",
        ca_bundle="/etc/ca.pem",
        namenode="nn:8020",
        hadoop_conf={"dfs.replication": "2"},
        bridge="rest",
        principal="alice@REALM",
        proxy_user="etl",
    )
    assert block._arguments() == {
        "rm_addresses": ["rm1:8088", "rm2:8090"],
        "scheme": "https",
        "user": "alice",
        "password": "secret",
        "nn": "nn:8020",
        "pars": {"dfs.replication": "2"},
        "gateway_path": "/gateway/default/resourcemanager",
        "ca_bundle": "/etc/ca.pem",
        "bridge": "rest",
        "principal": "alice@REALM",
        "proxy_user": "etl",
    }
    assert YarnCredentials()._arguments() == {}
    assert YarnCredentials(host="https://rm:8090/")._arguments() == {"rm_addresses": ["rm:8090"], "scheme": "https"}


def test_whatever_an_airflow_connection_can_say_the_block_can_say() -> None:
    # Prefect's ids of runs are the same nowhere else, so it needs no name for itself.
    assert set(EXTRAS) - {"deployment"} <= set(YarnCredentials.model_fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hosts": "rm"}, "did you mean host"),
        ({"host": "rm/path"}, "rm/path"),
        ({"host": "ftp://rm"}, "http or https"),
        ({"port": 0}, "port"),
        ({"scheme": "ftp"}, "scheme"),
        ({"keytab": "/k"}, "principal"),
        ({"keytab": "/k", "keytab_base64": KEYTAB, "principal": "a"}, "one of them"),
        ({"keytab_base64": "%%%", "principal": "a"}, "base64"),
        ({"keytab_base64": "YWJj", "principal": "a"}, "keytab"),
    ],
)
def test_what_cannot_be_used_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        YarnCredentials(**fields)


def test_a_keytab_s_content_is_a_private_file_for_as_long_as_the_client() -> None:
    knit = YarnCredentials(
        host="127.0.0.1:1", principal="alice@REALM", keytab_base64=KEYTAB, login="alice"
    ).get_client()
    path = Path(str(knit.connection.login.keytab))
    assert path.read_bytes() == b"\x05\x02 a keytab"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    knit.close()
    del knit
    gc.collect()
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "command"),
        ({"command": " "}, "empty"),
        ({"command": "date", "env": {"A": "1"}}, "envvars"),
        ({"command": "date", "on_kill_action": "maybe"}, "on_kill_action"),
        ({"command": "date", "num_containers": -1}, "num_containers"),
        ({"command": "date", "tags": ["a"] * 4}, "tags"),
    ],
)
def test_a_job_names_what_it_cannot_use(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        YarnJob(**fields)


@pytest.mark.parametrize(
    "given",
    [
        {"host": "rm", "keytab": "/k", "password": "hunter2"},
        {"hostt": "rm", "password": "hunter2"},
        {"host": "rm:x", "password": "hunter2"},
        {"principal": "p", "keytab": "/k", "keytab_base64": "aHVudGVyMg=="},
        {"scheme": "ftp", "hadoop_conf": {"a": "hunter2"}},
    ],
)
def test_no_error_prints_a_secret(given: dict[str, Any]) -> None:
    for wrong in (
        lambda: YarnCredentials(**given),
        lambda: YarnJob(command="date", credentials=given),
        lambda: YarnJobConfiguration(command="date", env={}, credentials=given),
    ):
        with pytest.raises(ValidationError) as caught:
            wrong()
        assert "hunter2" not in str(caught.value)
        assert "aHVudGVyMg" not in str(caught.value)


def test_an_environment_variable_that_is_no_text_is_named_without_its_value() -> None:
    with pytest.raises(ConfigurationError, match=r"envvars\.TOKEN: ") as caught:
        job_of(None, command="date", envvars={"TOKEN": b"\xffhunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_flow_runs_container_has_three_tags_of_the_users_and_its_own() -> None:
    spec = YarnJobConfiguration(command="date", env={}, tags=["a", "b", "c"]).spec("the-run")
    assert spec.tags == ("a", "b", "c", worker_tag("the-run"))
