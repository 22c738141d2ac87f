"""Who a connection logs in as, and where the keytab lies meanwhile; nothing is contacted."""

from __future__ import annotations

import base64
import gc
import os
import stat
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.cli.main import main
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.gateway import command
from knit_provider.yarn.gateway.settings import GatewaySettings
from knit_provider.yarn.proxy_user import way_out

KEYTAB = base64.b64encode(b"\x05\x02" + bytes(40)).decode()


def test_a_keytab_in_text_is_a_private_file_until_the_end() -> None:
    knit = Knit(autodetect=False, principal="etl@EXAMPLE.COM", keytab_base64=f" {KEYTAB[:20]}\n{KEYTAB[20:]}\n")
    path = Path(str(knit.connection.login.keytab))
    assert path.read_bytes() == base64.b64decode(KEYTAB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert KEYTAB[:20] not in repr(knit) + repr(knit.connection.login)
    knit.close()
    assert not path.parent.exists()


def test_a_forked_child_leaves_it_to_its_parent() -> None:
    knit = Knit(autodetect=False, principal="etl@EXAMPLE.COM", keytab_base64=KEYTAB)
    path = Path(str(knit.connection.login.keytab))
    pid = os.fork()
    if pid == 0:
        knit.connection._keytab.remove()  # type: ignore[union-attr]
        os._exit(0)
    os.waitpid(pid, 0)
    assert path.exists()
    del knit
    gc.collect()
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "no base64!", base64.b64encode(b"a password").decode()])
def test_what_is_no_keytab_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match="keytab_base64 is no keytab in base64") as caught:
        Knit(autodetect=False, principal="etl@EXAMPLE.COM", keytab_base64=text)
    assert not text or text not in str(caught.value)


def test_two_keytabs_are_one_too_many() -> None:
    with pytest.raises(ConfigurationError, match="two ways"):
        Knit(autodetect=False, principal="etl@EXAMPLE.COM", keytab="/dev/null", keytab_base64=KEYTAB)


def test_whoever_is_acted_for_owns_what_is_made() -> None:
    knit = Knit(autodetect=False, user="portal", proxy_user="alice")
    assert (knit.user, knit.connection.caller) == ("alice", "portal")
    assert knit.connection.session._params(None) == {"user.name": "portal", "doAs": "alice"}
    with pytest.raises(ConfigurationError, match="proxy_user=' ' is no user's name"):
        Knit(autodetect=False, proxy_user=" ")


def test_a_jvm_borrows_only_what_it_is_told_to() -> None:
    environ = {**os.environ, "HADOOP_TOKEN_FILE_LOCATION": "/of/the/environment"}
    assert "HADOOP_TOKEN_FILE_LOCATION" not in command.build(GatewaySettings(), environ).environment
    launch = command.build(GatewaySettings(token_file="/lent"), environ)
    assert launch.environment["HADOOP_TOKEN_FILE_LOCATION"] == "/lent"


@pytest.mark.parametrize(
    "words",
    [
        "User: portal/host@EXAMPLE.COM is not allowed to impersonate alice",
        "Unauthorized connection for super-user: portal from IP 10.0.0.1",
    ],
)
def test_a_refusal_to_act_for_others_names_the_settings(words: str) -> None:
    assert "hadoop.proxyuser.portal.hosts" in str(way_out(words))


def test_other_refusals_do_not() -> None:
    assert way_out("Permission denied: user=alice, access=WRITE") is None


def test_the_shell_passes_a_login_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, object]] = []

    class Seen(Exception):
        pass

    def knit(**kwargs: object) -> None:
        seen.append(kwargs)
        raise Seen

    monkeypatch.setattr("knit_provider.cli.options.Knit", knit)
    options = ["--principal", "etl@EXAMPLE.COM", "--keytab", "/k", "--ccache", "/c", "--proxy-user", "alice"]
    with pytest.raises(Seen):
        main(["list", *options])
    login = {"principal": "etl@EXAMPLE.COM", "keytab": "/k", "ccache": "/c", "proxy_user": "alice", "user": None}
    assert seen[0].items() >= login.items()
