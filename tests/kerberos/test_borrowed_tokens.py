"""Tokens that somebody else got, in a file: in place of a ticket, and beside one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn import tokens
from knit_provider.yarn.bridge.delegation import DelegationTokens
from knit_provider.yarn.errors import AuthenticationFailed, SubmissionRejected
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.native import NativeFiles
from knit_provider.yarn.tokens import HDFS_KIND, RM_KIND, Token, hdfs_service, read_token_file
from tests.hadoop.eventually import eventually
from tests.unit.bridge.token_files import protobuf_file, writable_file

# The kinds of the tokens that a container has.
SCRIPT = 'tr -c "[:alnum:]_-" "\\n" < "$HADOOP_TOKEN_FILE_LOCATION" | grep -E "TOKEN|kms-dt|NMToken" | sort -u'


def hdfs_token(knit: Knit, renewer: str) -> Token:
    conf = knit.connection.full_conf
    namenodes = NameNodes(conf.namenode_web_addresses(), knit.user, knit.connection.session.auth)
    try:
        answer = namenodes.call("GET", "GETDELEGATIONTOKEN", "/", renewer=renewer)
    finally:
        namenodes.close()
    service = hdfs_service(conf, conf.default_fs)
    return replace(Token.parse(answer["Token"]["urlString"]), kind=HDFS_KIND, service=service)


def rm_token(knit: Knit, renewer: str) -> Token:
    answer = knit.connection.session.request("POST", "cluster/delegation-token", json={"renewer": renewer})
    address = knit.connection.full_conf["yarn.resourcemanager.address"]
    return replace(Token.parse(answer.json()["token"]), kind=RM_KIND, service=address)


def issued(token: Token) -> int:
    """When HDFS made it, in milliseconds, as the daemons' logs name it."""
    rest = token.identifier[1:]
    for _ in range(3):  # owner, renewer, real user
        _, rest = tokens._read_field(rest)
    return tokens._read_vint(rest)[0]


def cancel(knit: Knit, token: Token) -> None:
    conf = knit.connection.full_conf
    namenodes = NameNodes(conf.namenode_web_addresses(), knit.user, knit.connection.session.auth)
    namenodes.call("PUT", "CANCELDELEGATIONTOKEN", "/", token=token.to_text())
    namenodes.close()


# When the tokens were made that an application had by each bridge.
USED: dict[str, int] = {}


@pytest.fixture
def lender(make_knit: Callable[..., Knit]) -> Knit:
    """Who has a keytab, and is the user whom this cluster runs containers as."""
    return make_knit()


@pytest.fixture
def lent(lender: Knit, tmp_path: Path) -> dict[str, Token]:
    """Tokens as a job of ``lender``'s would have them."""
    renewer = DelegationTokens(lender.connection.full_conf, lender.user, None).renewer()
    am = Token(b"\x08\x01", b"p", "YARN_AM_RM_TOKEN", "127.0.0.1:8030")
    return {"hdfs": hdfs_token(lender, renewer), "rm": rm_token(lender, renewer), "am": am}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Lend tokens to this process, which has neither ticket nor keytab."""

    def lend(*tokens: Token, write: Callable[..., bytes] = writable_file) -> Path:
        path = tmp_path / "lent"
        path.write_bytes(write(tokens, {"another.secret": b"x"}))
        path.chmod(0o600)
        monkeypatch.setenv("HADOOP_TOKEN_FILE_LOCATION", str(path))
        return path

    return lend


@pytest.mark.parametrize("bridge", ["rest", "jvm"])
def test_a_job_without_any_ticket(
    bridge: str, make_knit: Callable[..., Knit], lent: dict[str, Token], file: Callable[..., Path]
) -> None:
    write = writable_file if bridge == "rest" else protobuf_file
    file(*lent.values(), write=write)
    knit = make_knit(user=None)
    assert knit.user == daemon_user()
    app_id = knit.start(SCRIPT)
    assert knit.connection.bridge.name == bridge
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    (out,) = (str(c["stdout"]) for c in knit.logs(shell=True).values() if c["service"])
    assert out.split() == [HDFS_KIND], "the container has HDFS's token and none that acts within YARN"
    assert knit.connection.files.status(knit.connection.paths.staging(app_id)) is None
    USED[bridge] = issued(lent["hdfs"])


@pytest.mark.parametrize("write", [writable_file, protobuf_file])
@pytest.mark.parametrize("way", ["hdfs-native", "webhdfs"])
def test_files_by_a_token(
    make_knit: Callable[..., Knit],
    lent: dict[str, Token],
    file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    write: Callable[..., bytes],
) -> None:
    if way == "webhdfs":
        monkeypatch.setattr(NativeFiles, "why_not", lambda *args, **kwargs: "not in this test")
    file(*lent.values(), write=write)
    knit = make_knit(user=None, bridge="rest")
    files = knit.connection.files
    folder = files.uri_home() + "/by-token"
    files.write_many(folder, {"x": b"content"})
    assert files.serving(folder) == way
    assert files.read(f"{folder}/x") == b"content"
    files.delete(folder, recursive=True)


def test_hadoops_own_files_are_read(
    kerberos_cluster: LocalCluster, lender: Knit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both formats, as Hadoop's own tool writes them."""
    environment = {"PATH": "/usr/bin:/bin", **kerberos_cluster.env()}
    tool = "org.apache.hadoop.security.token.DtUtilShell"
    command = [f"{kerberos_cluster.hadoop_home}/bin/hadoop", tool, "get", lender.connection.full_conf.default_fs]
    for name in ("java", "protobuf"):
        path = tmp_path / name
        done = subprocess.run(
            [*command, "-format", name, str(path)], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        (token,) = read_token_file(path.read_bytes())
        conf = lender.connection.full_conf
        assert (token.kind, token.service) == (HDFS_KIND, hdfs_service(conf, conf.default_fs))
        assert str(token.owner).startswith(daemon_user())


@pytest.mark.parametrize("bridge", ["rest", "jvm"])
def test_a_token_that_may_not_be_renewed_is_a_rejection(
    bridge: str, make_knit: Callable[..., Knit], lender: Knit, file: Callable[..., Path], tmp_path: Path,
    kerberos_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With a ticket beside it, so that everything else is in order."""
    file(hdfs_token(lender, "somebody-else"))
    cache = kerberos_cluster.realm.ticket("knit", tmp_path / "cache")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{cache}")
    knit = make_knit(user=None)
    with pytest.raises(SubmissionRejected, match=r"(?i)renew"):
        knit.start("true")


def test_a_token_that_was_cancelled_is_refused_before_anything_is_submitted(
    make_knit: Callable[..., Knit], lender: Knit, lent: dict[str, Token], file: Callable[..., Path]
) -> None:
    cancel(lender, lent["hdfs"])
    file(*lent.values())
    before = set(lender.yarn_api.apps)
    with pytest.raises(AuthenticationFailed, match=r"(?i)token"):
        make_knit(user=None, bridge="rest").start("true")
    assert set(lender.yarn_api.apps) == before


def test_tokens_that_lack_the_one_for_the_resource_manager(
    make_knit: Callable[..., Knit], lent: dict[str, Token], file: Callable[..., Path]
) -> None:
    path = file(lent["hdfs"])
    with pytest.raises(AuthenticationFailed, match=rf"no token for the ResourceManager: {path} .*{HDFS_KIND} for"):
        make_knit(user=None).start("true")


def test_a_login_that_is_given_borrows_nothing(
    make_knit: Callable[..., Knit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_TOKEN_FILE_LOCATION", str(tmp_path / "missing"))
    knit = make_knit("alice", bridge="rest")
    assert knit.connection.files.uri_home().endswith("/user/alice")
    assert knit.connection.files.serving("/") == "webhdfs", "hdfs-native would take the file before the keytab"


def test_what_was_lent_is_not_cancelled(kerberos_cluster: LocalCluster) -> None:
    """The ResourceManager looks at it half a minute after the end, so this comes last in the file."""
    if not USED:
        pytest.skip("no application of this run had borrowed tokens")
    log = kerberos_cluster.daemons["resourcemanager"].log

    def told(words: str, made: int) -> bool:
        return re.search(rf"{words} .*issueDate={made},", log.read_text(errors="replace")) is not None

    for bridge, made in USED.items():
        eventually(lambda made=made: told("(Did not cancel|Cancelling token)", made), seconds=120)
        assert told("Did not cancel", made), f"{bridge} had it cancelled"
