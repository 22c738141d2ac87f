"""What the gateway's JVM is told of Kerberos, which Java does not find out by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway import command
from knit_provider.yarn.gateway.settings import GatewaySettings
from knit_provider.yarn.kerberos import KerberosLogin, cache_path


def test_the_environments_cache_is_a_path_to_java() -> None:
    launch = command.build(GatewaySettings(), {**os.environ, "KRB5CCNAME": "FILE:/tmp/of-the-user"})
    assert launch.environment["KRB5CCNAME"] == "/tmp/of-the-user"


def test_a_cache_of_its_own_wins() -> None:
    launch = command.build(GatewaySettings(ccache="/tmp/own"), {**os.environ, "KRB5CCNAME": "FILE:/tmp/of-the-user"})
    assert launch.environment["KRB5CCNAME"] == "/tmp/own"
    assert "/tmp/own" not in launch.argv


def test_java_is_told_where_krb5_conf_is(tmp_path: Path) -> None:
    conf = tmp_path / "krb5.conf"
    conf.touch()
    launch = command.build(GatewaySettings(), {**os.environ, "KRB5_CONFIG": f"/no/such/file:{conf}"})
    assert f"-Djava.security.krb5.conf={conf}" in launch.argv
    launch = command.build(GatewaySettings(), {**os.environ, "KRB5_CONFIG": "/no/such/file"})
    assert not [word for word in launch.argv if "krb5.conf" in word]


def test_caches_that_are_no_files_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_path("/a/b:c") == "/a/b:c"
    assert cache_path("FILE:/a") == "/a"
    monkeypatch.setenv("KRB5CCNAME", "KCM:1000")
    with pytest.raises(ConfigurationError, match="KCM:1000 is no file"):
        _ = KerberosLogin().cache_file
    keytab = tmp_path / "keytab"
    keytab.touch()
    assert KerberosLogin("a@B", str(keytab)).cache_file is None, "a keytab needs no cache"
