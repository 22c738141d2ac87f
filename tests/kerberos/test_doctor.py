"""``knit doctor`` on a cluster with Kerberos: what is right, what is wrong, and the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from knit_provider.cli.main import main
from knit_provider.localcluster import LocalCluster
from tests.kerberos.conftest import USER

Findings = dict[str, tuple[bool, str]]


def doctor(cluster: LocalCluster, *arguments: str) -> tuple[int, Findings]:
    done = CliRunner().invoke(
        main, ["doctor", "--json", "--bridge", "rest", "--conf-dir", str(cluster.conf_dir), *arguments]
    )
    found = json.loads(done.stdout)
    return done.exit_code, {one["what"]: (one["ok"], one["found"]) for one in found}


def login(cluster: LocalCluster, user: str, keytab: Path | None = None) -> list[str]:
    realm = cluster.realm
    return ["--principal", realm.principal(user), "--keytab", str(keytab or realm.keytab(user))]


def test_all_is_well(kerberos_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_HOME", str(kerberos_cluster.hadoop_home))
    code, found = doctor(kerberos_cluster, *login(kerberos_cluster, USER))
    assert code == 0, found
    assert all(ok for ok, _ in found.values()), found
    for what, words in {
        "krb5.conf": "realm KNIT.LOCAL",
        "ticket": "knit@KNIT.LOCAL, from ",
        "realm": "knit@KNIT.LOCAL is ",
        "clock": " s from the ResourceManager's",
        "ResourceManager": "by Kerberos",
        "tokens": "for 7 days; applications that live longer get new ones with the keytab",
        "queues": "default, other",
        "ACLs": "on: others need",
        "nodes' users": "was refused by a node",
    }.items():
        assert words in found[what][1], (what, found[what])


def test_what_is_wrong_is_named_with_the_way_out(kerberos_cluster: LocalCluster, tmp_path: Path) -> None:
    code, found = doctor(kerberos_cluster)
    assert code == 1
    assert not found["ticket"][0]
    assert "run kinit" in found["ticket"][1]
    assert found["krb5.conf"][0]

    loose = tmp_path / "loose.keytab"
    shutil.copy(kerberos_cluster.realm.keytab("alice"), loose)
    loose.chmod(0o644)
    code, found = doctor(
        kerberos_cluster, *login(kerberos_cluster, "alice", loose), "-D", "yarn.resourcemanager.principal="
    )
    assert code == 1
    assert not found["keytab"][0]
    assert f"chmod 600 {loose}" in found["keytab"][1]
    assert found["ticket"][0]
    assert "yarn.resourcemanager.principal is not set" in found["tokens"][1]


def test_a_home_that_is_missing(kerberos_cluster: LocalCluster) -> None:
    # This principal has no folder in HDFS, and /user is not theirs to write to.
    code, found = doctor(kerberos_cluster, *login(kerberos_cluster, USER), "--proxy-user", "carol")
    assert code == 1
    assert found["proxy user"][0], found["proxy user"]
    ok, said = found["filesystem"]
    assert not ok
    assert "/user/carol does not exist, and carol may not make it" in said
    assert "hdfs dfs -chown carol" in said
