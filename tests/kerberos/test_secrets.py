"""Tokens and keys: which of them a container has, and that none is in a log or where others see it."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.files.native import NativeFiles
from knit_provider.yarn.tokens import read_token_file

SHOW = 'base64 -w0 "$HADOOP_TOKEN_FILE_LOCATION"'


@pytest.mark.parametrize("bridge", ["rest", "jvm"])
def test_a_container_has_the_filesystems_token_alone(
    bridge: str,
    make_knit: Callable[..., Knit],
    kerberos_cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By WebHDFS, whose requests carry tokens in their addresses, with everything logged that can be logged."""
    monkeypatch.setattr(NativeFiles, "why_not", lambda *args, **kwargs: "not in this test")
    knit = make_knit()
    with caplog.at_level(logging.DEBUG):
        knit.start(SHOW, memory=256)
        assert knit.wait_for_completion(90), knit.status()["diagnostics"]
        (said,) = (str(f["stdout"]) for f in knit.logs().values() if f["service"])
    content = base64.b64decode(said)
    kinds = {token.kind for token in read_token_file(content)}
    assert kinds == {"HDFS_DELEGATION_TOKEN"}, (
        "none that makes its bearer an ApplicationMaster, a node or YARN's client"
    )
    for name in (b"knit.control.secret", b"knit.key", b"TIMELINE", b"NMToken"):
        assert name not in content
    assert b"knit.worker.secret" in content
    if bridge == "rest":
        assert "delegation=..." in caplog.text, "WebHDFS sent us to DataNodes with a token, or this shows nothing"
    assert not re.search(r"delegation=(?!\.\.\.)", caplog.text)
    log = kerberos_cluster.daemons["resourcemanager"].log.read_text(errors="replace")
    for token in read_token_file(content):
        text = base64.b64encode(token.password).decode()
        assert text not in log
        assert text not in caplog.text


def test_keys_stay_in_their_keytab(knit: Knit, kerberos_cluster: LocalCluster) -> None:
    """A keytab's path is known to processes, its content to none of their command lines and environments."""
    knit.start("sleep 300")
    keytab = kerberos_cluster.realm.keytab("knit").read_bytes()
    key = keytab[-32:]
    for process in psutil.process_iter():
        for name in ("cmdline", "environ"):
            try:
                content = Path(f"/proc/{process.pid}/{name}").read_bytes()
            except OSError:
                continue
            assert key not in content
            assert base64.b64encode(keytab)[:40] not in content
    assert knit.kill()
