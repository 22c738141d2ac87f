"""Token storage files, in both formats, and what of them is used for what."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit_provider.yarn.bridge.base import AmLaunch, Collected, Submission
from knit_provider.yarn.bridge.delegation import DelegationTokens
from knit_provider.yarn.bridge.rest_document import submission_document
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import AuthenticationFailed, ConfigurationError
from knit_provider.yarn.tokens import HDFS_KIND, KMS_KIND, RM_KIND, BorrowedTokens, Token, read_token_file

from .token_files import hdfs_identifier, protobuf_file, rm_identifier, writable_file

NN = "127.0.0.1:9000"
HDFS = Token(hdfs_identifier("alice", "rm"), b"secret", HDFS_KIND, NN)
RM = Token(rm_identifier("alice@EXAMPLE.COM"), b"secret", RM_KIND, "127.0.0.1:8032")
KMS = Token(b"\x00", b"secret", KMS_KIND, "kms://https@k:9600/kms")
WITHIN_YARN = [
    Token(b"\x00", b"s", kind, "x:1") for kind in ("YARN_AM_RM_TOKEN", "NMToken", "TIMELINE_DELEGATION_TOKEN")
]

CONF = HadoopConf.load(
    autodetect=False, pars={"fs.defaultFS": f"hdfs://{NN}", "yarn.resourcemanager.address": "127.0.0.1:8032"}
)


def borrowed(folder: Path, *tokens: Token) -> BorrowedTokens:
    (folder / "tokens").write_bytes(writable_file(tokens))
    return BorrowedTokens(str(folder / "tokens"))


@given(st.lists(st.builds(Token, st.binary(max_size=300), st.binary(max_size=300), st.text(), st.text()), max_size=5))
def test_both_formats_hold_the_same(tokens: list[Token]) -> None:
    assert read_token_file(writable_file(tokens, {"knit.secret": b"x"})) == tokens
    assert read_token_file(protobuf_file(tokens, {"knit.secret": b"x"})) == tokens


@pytest.mark.parametrize("make", [writable_file, protobuf_file])
def test_whatever_is_cut_off_is_no_token_file(make: object) -> None:
    whole = make([HDFS, RM])  # type: ignore[operator]
    for length in range(len(whole) - (1 if make is writable_file else 0)):
        with pytest.raises(ValueError, match=r"begin|early|field|promises|format|length"):
            read_token_file(whole[:length])


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error(content: bytes) -> None:
    for start in (b"", b"HDTS\x00", b"HDTS\x01", b"HDTS\x07"):
        try:
            read_token_file(start + content)
        except ValueError:
            continue
        assert start in (b"HDTS\x00", b"HDTS\x01")


def test_only_what_does_not_act_within_yarn_is_passed_on(tmp_path: Path) -> None:
    assert set(borrowed(tmp_path, HDFS, KMS, RM, *WITHIN_YARN).to_pass_on()) == {NN, KMS.service}


def test_each_service_gets_its_own(tmp_path: Path) -> None:
    found = borrowed(tmp_path, Token(b"", b"", RM_KIND, "rm.elsewhere:8032"), RM, HDFS)
    assert found.for_hdfs(CONF, CONF.default_fs) == HDFS
    assert found.for_hdfs(CONF, "hdfs://127.0.0.1:9001") is None
    assert found.for_resource_manager(CONF) == RM
    assert found.owner(CONF) == "alice@EXAMPLE.COM"
    assert borrowed(tmp_path, HDFS).owner(CONF) == "alice"


def test_of_several_resource_managers_one_token_names_all(tmp_path: Path) -> None:
    ha = HadoopConf.load(
        autodetect=False,
        pars={
            "yarn.resourcemanager.ha.enabled": "true",
            "yarn.resourcemanager.ha.rm-ids": "a,b",
            "yarn.resourcemanager.hostname.a": "127.0.0.1",
            "yarn.resourcemanager.hostname.b": "127.0.0.2",
        },
    )
    both = Token(b"", b"", RM_KIND, "127.0.0.1:8032,127.0.0.2:8032")
    assert borrowed(tmp_path, both).for_resource_manager(ha) == both


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), (b"<html>", "is no token file: it does not")])
def test_a_file_that_does_not_serve_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "tokens"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"HADOOP_TOKEN_FILE_LOCATION names {path}.*{words}"):
        BorrowedTokens(str(path)).all()


def test_with_tokens_alone_what_is_missing_is_said(tmp_path: Path) -> None:
    tokens = DelegationTokens(CONF, "alice", None, borrowed=borrowed(tmp_path, HDFS, *WITHIN_YARN))
    found = tokens.collect([])
    assert found == Collected({NN: HDFS.to_text()}, borrowed=True)
    with pytest.raises(AuthenticationFailed, match=rf"no token for hdfs://other:1.*holds .*{HDFS_KIND} for {NN}"):
        DelegationTokens(
            HadoopConf.load(autodetect=False, pars={"fs.defaultFS": "hdfs://other:1", "dfs.nameservices": "other"}),
            "alice",
            None,
            borrowed=borrowed(tmp_path, HDFS),
        ).collect(["hdfs://other:1"])


@pytest.mark.parametrize(("lent", "cancelled"), [(True, False), (False, True)])
def test_what_was_lent_is_not_cancelled(lent: bool, cancelled: bool) -> None:
    submission = Submission("application_1_0001", "x", "default", AmLaunch(1, 1, "true"))
    document = submission_document(submission, Collected({NN: "text"}, borrowed=lent))
    assert document["cancel-tokens-when-complete"] is cancelled
    assert document["am-container-spec"]["credentials"]["tokens"] == {"entry": [{"key": NN, "value": "text"}]}
    assert submission_document(submission)["cancel-tokens-when-complete"] is True
