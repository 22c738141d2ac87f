"""What stands between a user and a ticket is said before anything is submitted, with the way out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.kdc import Realm
from knit_provider.yarn.errors import AuthenticationFailed, ConfigurationError, KnitError
from knit_provider.yarn.kerberos import KerberosLogin
from tests.hadoop.eventually import eventually


@pytest.fixture
def realm(kerberos_cluster: LocalCluster) -> Realm:
    return kerberos_cluster.realm


@pytest.fixture
def refused(make_knit: Callable[..., Knit], kerberos_cluster: LocalCluster, realm: Realm) -> Callable[..., KnitError]:
    """Try to start an application, and give back the error after a look that there is no application."""
    admin = make_knit()

    def attempt(kind: type[KnitError], **login: str) -> KnitError:
        before = set(admin.yarn_api.apps)
        for checks in (True, False):
            knit = make_knit(user=None, **login)
            with pytest.raises(kind) as caught:
                knit.start("true", checks=checks)
            assert knit.connection._bridge is None, "a gateway was begun for nothing"
        assert set(admin.yarn_api.apps) == before
        return caught.value

    return attempt


def keytab_with(principal: str, path: Path) -> Path:
    """A keytab of a key that nobody has."""
    lines = f"addent -password -p {principal} -k 1 -e aes256-cts-hmac-sha1-96\nwrong\nwkt {path}\nquit\n"
    subprocess.run(["ktutil"], input=lines, text=True, check=True, capture_output=True, timeout=30)
    return path


def shifted(cache: Path, seconds: int) -> Path:
    """The cache, as one has it whose clock is wrong: the library keeps the difference to the KDC's in its head."""
    content = cache.read_bytes()
    assert content[:4] == b"\x05\x04\x00\x0c"
    cache.write_bytes(content[:8] + seconds.to_bytes(4, "big") + content[12:])
    return cache


def test_no_ticket(refused: Callable[..., KnitError], tmp_path: Path) -> None:
    assert "run kinit, or give principal= and keytab=" in str(refused(AuthenticationFailed))
    assert "run kinit" in str(refused(AuthenticationFailed, ccache=str(tmp_path / "missing")))


def test_an_expired_ticket(refused: Callable[..., KnitError], realm: Realm, tmp_path: Path) -> None:
    cache = realm.ticket("alice", tmp_path / "cache", "1s")
    eventually(lambda: subprocess.run(["klist", "-s", "-c", str(cache)], timeout=10).returncode != 0)
    message = str(refused(AuthenticationFailed, ccache=str(cache)))
    assert "expired" in message
    assert "kinit" in message


def test_keytabs_that_do_not_fit(refused: Callable[..., KnitError], realm: Realm, tmp_path: Path) -> None:
    alice = realm.principal("alice")
    message = str(refused(AuthenticationFailed, principal=alice, keytab=str(realm.keytab("bob"))))
    assert f"has no key of {alice}" in message
    wrong = keytab_with(alice, tmp_path / "wrong.keytab")
    assert "get a new keytab" in str(refused(AuthenticationFailed, principal=alice, keytab=str(wrong)))
    ghost = realm.principal("ghost")
    unknown = keytab_with(ghost, tmp_path / "ghost.keytab")
    assert f"the KDC does not know {ghost}" in str(refused(AuthenticationFailed, principal=ghost, keytab=str(unknown)))


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({"keytab": "/dev/null"}, "needs principal="),
        ({"principal": "a@B", "keytab": "/no/such/file"}, "'/no/such/file' is no file"),
        ({"principal": "a@B", "keytab": "/dev/null", "ccache": "x"}, "two ways"),
        ({"ccache": " "}, "is no ccache"),
    ],
)
def test_arguments_that_cannot_be_used(make_knit: Callable[..., Knit], login: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_knit(user=None, **login)


def test_a_cache_of_somebody_else(refused: Callable[..., KnitError], realm: Realm, tmp_path: Path) -> None:
    cache = str(realm.ticket("alice", tmp_path / "cache"))
    bob = realm.principal("bob")
    assert f"kinit {bob}" in str(refused(AuthenticationFailed, ccache=cache, principal=bob))


def test_a_cache_that_java_cannot_read(make_knit: Callable[..., Knit]) -> None:
    knit = make_knit(user=None, ccache="MEMORY:mine", bridge="jvm")
    with pytest.raises(ConfigurationError, match="kinit -c FILE:"):
        _ = knit.connection.bridge


def test_clocks_that_differ(make_knit: Callable[..., Knit], realm: Realm, tmp_path: Path) -> None:
    # As the KDC says it, who is asked for a ticket to the ResourceManager ...
    cache = shifted(realm.ticket("alice", tmp_path / "cache"), 3600)
    with pytest.raises(AuthenticationFailed, match="clocks"):
        make_knit(user=None, ccache=str(cache)).yarn_api.cluster_metrics()
    # ... and as the ResourceManager says it, where that ticket is there already.
    fresh = realm.ticket("alice", tmp_path / "fresh")
    knit = make_knit(user=None, ccache=str(fresh))
    knit.yarn_api.cluster_metrics()
    shifted(fresh, 3600)
    knit.connection.session._transport._session().cookies.clear()
    with pytest.raises(AuthenticationFailed, match=r"[Cc]lock"):
        knit.yarn_api.cluster_metrics()


def test_nothing_is_submitted_with_a_clock_that_is_wrong(
    make_knit: Callable[..., Knit], realm: Realm, tmp_path: Path
) -> None:
    before = set(make_knit().yarn_api.apps)
    cache = shifted(realm.ticket("alice", tmp_path / "cache"), 3600)
    with pytest.raises(AuthenticationFailed, match="clocks"):
        make_knit(user=None, ccache=str(cache), bridge="rest").start("true")
    assert set(make_knit().yarn_api.apps) == before


def test_the_kdc_is_away(realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    conf = tmp_path / "krb5.conf"
    conf.write_text(realm.krb5_conf.read_text().replace(realm.address, f"127.0.0.1:{free_port}"))
    alice = {"principal": realm.principal("alice"), "keytab": str(realm.keytab("alice"))}

    def attempt() -> str:
        with monkeypatch.context() as patch:
            patch.setenv("KRB5_CONFIG", str(conf))
            with pytest.raises(AuthenticationFailed) as caught:
                KerberosLogin(**alice).check()
            return str(caught.value)

    assert "the KDC is not reachable" in attempt()
    conf.unlink()
    assert "set KRB5_CONFIG" in attempt()


@pytest.fixture
def free_port() -> int:
    from knit_provider.localcluster.ports import PortPool

    with PortPool() as pool:
        return pool.pick()


def test_the_library_is_missing(make_knit: Callable[..., Knit], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "gssapi", None)
        with pytest.raises(ConfigurationError, match=r"knit-provider\[kerberos\].*libkrb5-dev.*krb5-devel"):
            make_knit(user=None).start("true")
