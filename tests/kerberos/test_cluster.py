"""``knit cluster up --kerberos`` itself."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ConfigurationError
from tests.hadoop.eventually import eventually


def test_env_brings_a_ticket(kerberos_cluster: LocalCluster) -> None:
    before = dict(os.environ)
    variables = kerberos_cluster.env()
    assert dict(os.environ) == before
    listed = subprocess.run(
        ["klist"], env={**before, **variables}, capture_output=True, text=True, check=True, timeout=10
    ).stdout
    assert f"Default principal: {kerberos_cluster.realm.users[0]}@KNIT.LOCAL" in listed
    shown = subprocess.run(
        [f"{variables['HADOOP_HOME']}/bin/hadoop", "fs", "-ls", "/user"],
        env={"PATH": before["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "alice" in shown.stdout, shown.stderr


def test_secrets_of_the_realm_are_the_owners_alone(kerberos_cluster: LocalCluster) -> None:
    folder = kerberos_cluster.realm.folder
    assert folder.stat().st_mode & 0o077 == 0
    assert set(kerberos_cluster.keytabs) >= {"knit", "alice", "bob"}
    settings = json.dumps(kerberos_cluster.settings)
    assert kerberos_cluster.realm.signature_secret.read_text() not in settings


def test_the_kdc_can_be_killed_and_started_again(kerberos_cluster: LocalCluster) -> None:
    kdc = kerberos_cluster.daemons["kdc"]
    kdc.kill()
    status = kerberos_cluster.status()
    assert status.state == "degraded"
    assert [daemon.name for daemon in status.daemons if daemon.state == "dead"] == ["kdc"]
    kdc.start()
    kerberos_cluster.wait_ready(60)
    eventually(lambda: kerberos_cluster.status().is_up)


def test_it_is_not_mistaken_for_a_simple_one(kerberos_cluster: LocalCluster) -> None:
    with pytest.raises(ConfigurationError, match="up already, with kerberos True, not False"):
        LocalCluster(kerberos_cluster.directory, kerberos=False).up()
    assert not LocalCluster(kerberos_cluster.directory).up(), "it was up, and what it is was not asked for anew"


def test_the_thread_that_never_rests_leaves_the_processor_to_others(kerberos_cluster: LocalCluster) -> None:
    pid = kerberos_cluster.daemons["resourcemanager"].pid
    policies = {
        os.sched_getscheduler(int(task.name))
        for task in Path(f"/proc/{pid}/task").iterdir()
        if (task / "comm").read_text().startswith("DelegationToken")
    }
    assert os.SCHED_IDLE in policies
