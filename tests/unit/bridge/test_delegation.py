"""Hadoop's tokens, read and written."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit_provider.yarn.bridge.delegation import DelegationTokens
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.tokens import HDFS_KIND, Token, hdfs_service

# Token.encodeToUrlString() of Hadoop 3.5.0: an identifier of 200 times 7, the password 1 2 3, kind HDFS's own.
FROM_HADOOP = (
    base64.urlsafe_b64encode(
        bytes.fromhex("8fc8" + "07" * 200 + "0301020315") + b"HDFS_DELEGATION_TOKEN\x0e127.0.0.1:8020"
    )
    .decode()
    .rstrip("=")
)


@given(st.binary(max_size=300), st.binary(max_size=70_000), st.text(max_size=40), st.text(max_size=40))
def test_what_is_written_is_read_again(identifier: bytes, password: bytes, kind: str, service: str) -> None:
    token = Token(identifier, password, kind, service)
    assert Token.parse(token.to_text()) == token


@pytest.mark.parametrize(
    ("length", "written"),
    [(0, "00"), (127, "7f"), (128, "8f80"), (255, "8fff"), (256, "8e0100"), (70_000, "8d011170")],
)
def test_lengths_are_written_as_hadoop_does(length: int, written: str) -> None:
    text = Token(b"x" * length, b"", "", "").to_text()
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert data.startswith(bytes.fromhex(written) + b"x" * length)


def test_a_token_of_hadoops() -> None:
    token = Token.parse(FROM_HADOOP)
    assert token == Token(b"\x07" * 200, b"\x01\x02\x03", HDFS_KIND, "127.0.0.1:8020")
    assert token.to_text() == FROM_HADOOP


@pytest.mark.parametrize("text", ["", "AA", "f38", "jw", "not a token!", FROM_HADOOP[:40]])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|ends too early|field of|length that is none"):
        Token.parse(text)


def test_a_token_shows_nothing_of_its_secret() -> None:
    assert repr(Token(b"identifier", b"password", HDFS_KIND, "nn:8020")) == f"<Token {HDFS_KIND} for nn:8020>"


def test_the_renewer_is_the_resource_manager() -> None:
    named = HadoopConf.load(
        autodetect=False,
        pars={
            "yarn.resourcemanager.principal": "rm/_HOST@EXAMPLE.COM",
            "yarn.resourcemanager.webapp.address": "Master.example.com:8088",
        },
    )
    assert DelegationTokens(named, "alice", None).renewer() == "rm/master.example.com@EXAMPLE.COM"


def test_without_a_renewer_there_are_no_tokens() -> None:
    with pytest.raises(ConfigurationError, match=r"yarn\.resourcemanager\.principal is not set"):
        DelegationTokens(HadoopConf.load(autodetect=False), "alice", None).renewer()


@pytest.mark.parametrize(
    ("root", "service"),
    [("hdfs://127.0.0.1:9000", "127.0.0.1:9000"), ("hdfs://127.0.0.1", "127.0.0.1:8020"), ("hdfs://ns", "ha-hdfs:ns")],
)
def test_where_a_token_counts(root: str, service: str) -> None:
    found = HadoopConf.load(autodetect=False, pars={"dfs.nameservices": "ns"})
    assert hdfs_service(found, root) == service


def test_by_name_where_the_cluster_says_so() -> None:
    found = HadoopConf.load(autodetect=False, pars={"hadoop.security.token.service.use_ip": "false"})
    assert hdfs_service(found, "hdfs://Name.example.com:9000") == "name.example.com:9000"
