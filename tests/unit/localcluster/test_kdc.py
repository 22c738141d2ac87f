"""A cluster with Kerberos where it cannot be, and how principals become users."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit_provider.localcluster import LocalCluster, kdc
from knit_provider.localcluster.jars import HADOOP_VERSIONS
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.kerberos import short_name


def test_without_a_kdc_the_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kdc, "_SYSTEM", "")
    with pytest.raises(ConfigurationError, match=r"krb5kdc.*krb5-kdc krb5-admin-server.*krb5-server krb5-workstation"):
        kdc.find_programs()


def test_hadoop_versions_without_a_native_library_are_refused(tmp_path: Path) -> None:
    assert HADOOP_VERSIONS[0] != "3.3.6"
    with pytest.raises(ConfigurationError, match=r"runs Hadoop 3\.3\.6, not 3\.5\.0"):
        LocalCluster(tmp_path / "c", hadoop_version="3.5.0", kerberos=True).up()


RULES = """
RULE:[2:$1](nn|dn)s/.*/hdfs/
RULE:[1:$1@$0](.*@OTHER.COM)s/@.*/_other/
RULE:[1:$1@$0](.*@LOUD.COM)s/@.*///L
DEFAULT
"""


@pytest.mark.parametrize(
    ("principal", "user"),
    [
        ("nn/host@HERE", "hdfs"),
        ("rm/host@HERE", "rm"),
        ("alice@HERE", "alice"),
        ("alice@OTHER.COM", "alice_other"),
        ("ALICE@LOUD.COM", "alice"),
        ("alice", "alice"),
    ],
)
def test_principals_become_users_by_hadoops_rules(principal: str, user: str) -> None:
    assert short_name(principal, RULES) == user


def test_rules_replace_groups_once_or_everywhere() -> None:
    assert short_name("a-b-c@X", "RULE:[1:$1]s/-/_/") == "a_b-c"
    assert short_name("a-b-c@X", "RULE:[1:$1]s/-/_/g") == "a_b_c"
    assert short_name("ab@X", "RULE:[1:$1@$0]s/(.)(.)@.*/$2$1/") == "ba"
