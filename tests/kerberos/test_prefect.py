"""``YarnCredentials`` on a cluster with Kerberos: a keytab that travels in the block, and a wrong one."""

# ruff: noqa: E402 - Prefect reads the environment when it is first imported

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scratch import set_home

# A fixture would come too late.
set_home("PREFECT_HOME")

pytest.importorskip("prefect")

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.prefect import YarnCredentials, YarnJob
from knit_provider.yarn.errors import AuthenticationFailed
from tests.kerberos.conftest import USER, documented_conf
from tests.kerberos.test_trouble import keytab_with


def block(cluster: LocalCluster, keytab: Path) -> YarnCredentials:
    """The cluster as the documentation has it: a block that carries all there is to know, keytab included."""
    host, _, port = cluster.rm_web.rpartition(":")
    return YarnCredentials(
        host=host,
        port=int(port),
        hadoop_conf=documented_conf(cluster),
        principal=cluster.realm.principal(USER),
        keytab_base64=base64.b64encode(keytab.read_bytes()).decode(),
    )


def test_a_keytab_in_the_block_logs_in(kerberos_cluster: LocalCluster) -> None:
    credentials = block(kerberos_cluster, kerberos_cluster.realm.keytab(USER))
    run = YarnJob(credentials=credentials, command='echo "\\"$USER\\"" > "$KNIT_RESULT"').trigger()
    assert run.wait_for_completion() == "SUCCEEDED"
    assert run.fetch_result() is not None


def test_wrong_credentials_are_told_and_start_nothing(
    kerberos_cluster: LocalCluster, make_knit: Callable[..., Knit], tmp_path: Path
) -> None:
    before = set(make_knit().yarn_api.apps)
    wrong = block(kerberos_cluster, keytab_with(kerberos_cluster.realm.principal(USER), tmp_path / "keytab"))
    with pytest.raises(AuthenticationFailed):
        YarnJob(credentials=wrong, command="date").trigger()
    assert set(make_knit().yarn_api.apps) == before
