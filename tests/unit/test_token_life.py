"""Which applications get a keytab, what of it, and what fetches tokens in a container."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from knit_provider.yarn.bridge.base import Collected
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.submission.token_life import FETCHER, TOKENS_SCRIPT, keys_of, keytab_for, with_fetcher
from knit_provider.yarn.tokens import HDFS_KIND, KMS_KIND, Token, _vint
from tests.hadoop.eventually import eventually

DAY = 86_400
MADE_MS = 1_700_000_000_000


def token(days: float, kind: str = HDFS_KIND, service: str = "nn:8020") -> Token:
    texts = b"".join(_vint(len(text)) + text for text in (b"alice", b"yarn", b""))
    dates = _vint(MADE_MS) + _vint(MADE_MS + int(days * DAY * 1000))
    return Token(b"\0" + texts + dates + b"\1\1", b"p", kind, service)


def collected(*tokens: Token) -> Collected:
    return Collected({token.service: token.to_text() for token in tokens})


def entry(principal: str, realm: str, key: bytes = b"k" * 32) -> bytes:
    words = b"".join(struct.pack(">H", len(w)) + w.encode() for w in (realm, *principal.split("/")))
    head = struct.pack(">H", principal.count("/") + 1) + words + struct.pack(">IIB", 1, 0, 3)
    content = head + struct.pack(">HH", 18, len(key)) + key
    return struct.pack(">i", len(content)) + content


KEYTAB = b"\x05\x02" + entry("etl", "A") + struct.pack(">i", -6) + b"hole!!" + entry("etl/h", "A") + entry("etl", "B")


def connection(tmp_path: Path, **changes: Any) -> Any:
    path = tmp_path / "keytab"
    path.write_bytes(KEYTAB)
    login = SimpleNamespace(principal="etl@A", keytab=str(path))
    conf = SimpleNamespace(password=None)
    return SimpleNamespace(**{"login": login, "proxy_user": None, "user": "etl", "conf": conf, **changes})


def test_the_shortest_life_counts() -> None:
    assert collected(token(7), token(2, KMS_KIND, "kms")).life == 2 * DAY
    assert collected(Token(b"x", b"p", HDFS_KIND, "nn")).life is None, "one that cannot be read"
    assert collected(token(1, "OTHER")).life is None


@pytest.mark.parametrize("lifetime", [7 * DAY, 60])
def test_an_application_that_its_tokens_suffice_gets_no_keytab(tmp_path: Path, lifetime: int) -> None:
    assert keytab_for(connection(tmp_path), lifetime, collected(token(7))) is None
    assert keytab_for(connection(tmp_path), None, None) is None, "there are no tokens"


@pytest.mark.parametrize("lifetime", [7 * DAY + 1, None])
def test_one_that_outlives_them_gets_the_principals_keys(tmp_path: Path, lifetime: int | None) -> None:
    shipped = keytab_for(connection(tmp_path), lifetime, collected(token(7)))
    assert shipped is not None
    assert shipped.content == b"\x05\x02" + entry("etl", "A")
    assert "k" * 32 not in repr(shipped)


def test_keys_that_cannot_be_told_apart_all_go() -> None:
    assert keys_of(KEYTAB, "etl/h@A") == b"\x05\x02" + entry("etl/h", "A")
    assert keys_of(KEYTAB, "etl") == b"\x05\x02" + entry("etl", "A") + entry("etl", "B")
    for odd in (KEYTAB[:9], b"\x05\x01" + KEYTAB[2:], b""):
        assert keys_of(odd, "etl@A") == odd
    assert keys_of(KEYTAB, "other@A") == KEYTAB


def test_without_a_keytab_it_is_refused(tmp_path: Path) -> None:
    no_keytab = connection(tmp_path, login=SimpleNamespace(principal=None, keytab=None))
    with pytest.raises(ConfigurationError, match=r"30 days, and its .* end after 7 days.*lifetime=604800"):
        keytab_for(no_keytab, 30 * DAY, collected(token(7)))
    with pytest.raises(ConfigurationError, match=r"no limit to its lifetime.*checks=False changes nothing"):
        keytab_for(no_keytab, None, collected(token(7)))
    with pytest.raises(ConfigurationError, match="proxy_user='bob'"):
        keytab_for(connection(tmp_path, proxy_user="bob", user="bob"), None, collected(token(7)))


def test_a_container_keeps_its_token_file_new_and_nothing_outlives_it(tmp_path: Path) -> None:
    """The script's own ``wait`` returns, and newer tokens come again and again."""
    (tmp_path / TOKENS_SCRIPT).write_bytes(FETCHER)
    (tmp_path / "knit-am.sh").write_text('echo "$2" "$((++n))" >> asked; cp new "$3"; echo 1\n')
    (tmp_path / "new").write_text("newer")
    tokens = tmp_path / "container_tokens"
    tokens.write_text("older")
    user = b"#!/bin/bash\ntrue & wait; echo waited > said; while [ ! -e stop ]; do sleep 0.05; done\n"
    (tmp_path / "knit-run.sh").write_bytes(with_fetcher(user, "hdfs://nn/it's mine"))
    environment = {
        "PATH": os.environ["PATH"],
        "HADOOP_TOKEN_FILE_LOCATION": str(tokens),
        "KNIT_TOKENS_AFTER": "1",
        "KNIT_RESULT": str(tmp_path / "knit-result.json"),
    }
    process = subprocess.Popen(["/bin/bash", "./knit-run.sh"], cwd=tmp_path, env=environment)
    try:
        eventually(lambda: (tmp_path / "said").exists(), seconds=20)
        eventually(lambda: tokens.read_text() == "newer", seconds=20)
        tokens.write_text("older")
        eventually(lambda: tokens.read_text() == "newer", seconds=20)
        asked = (tmp_path / "asked").read_text().splitlines()
        assert asked[0].startswith("hdfs://nn/it's mine/tokens ")
    finally:
        (tmp_path / "stop").touch()
        process.wait(20)
    assert (tmp_path / "knit-tokens.log").read_text() == ""

    def helpers() -> list[int]:
        found = []
        for each in psutil.process_iter():
            try:
                if any(TOKENS_SCRIPT in word for word in each.cmdline()) and each.cwd() == str(tmp_path):
                    found.append(each.pid)
            except psutil.Error:
                continue
        return found

    eventually(lambda: not helpers(), seconds=20)
