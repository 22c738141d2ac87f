"""The client that containers have, against a port that speaks TLS with an application's own certificate."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from knit_provider.yarn.container import CERTIFICATE, WORKER_SECRET, KeyValueStore, LateChange, MasterClient
from knit_provider.yarn.submission.secrets import new_secrets

Answer = Callable[[bytes], "bytes | None"]
APP = "application_1_0001"


def answer(status: int, **body: object) -> bytes:
    text = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(text)) + text


class Master:
    """Answers one request after the other by what is next in the script; None hangs up without a word."""

    def __init__(self, folder: Path) -> None:
        self.script: list[bytes | None] = []
        self.asked: list[dict[str, object]] = []
        given = new_secrets(APP, None).for_master()
        self.secrets = {name: given[name] for name in (WORKER_SECRET, CERTIFICATE)}
        key = load_der_private_key(given["knit.key"], None)
        pem = folder / "pem"
        pem.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + ssl.DER_cert_to_PEM_cert(given[CERTIFICATE]).encode()
        )
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(pem)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with self._tls.wrap_socket(plain, server_side=True) as connection:
                connection.settimeout(30)
                data = b""
                while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < _length(data):
                    data += connection.recv(65536)
                self.asked.append(json.loads(data.split(b"\r\n\r\n", 1)[1]))
                reply = self.script.pop(0)
                if reply is not None:
                    connection.sendall(reply)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(30)


def _length(data: bytes) -> int:
    head = data.split(b"\r\n\r\n", 1)[0].lower()
    return int(head.split(b"content-length:")[1].split(b"\r\n")[0])


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    made = Master(tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(master: Master, monkeypatch: pytest.MonkeyPatch) -> KeyValueStore:
    monkeypatch.setattr("knit_provider.yarn.container.secrets", lambda environ: master.secrets)
    return KeyValueStore(MasterClient({"KNIT_AM_ADDRESS": master.address}).call)


def test_a_condition_is_not_sent_again_where_its_answer_was_lost(master: Master, store: KeyValueStore) -> None:
    # The second answer would be the refusal of what the first request has done.
    master.script = [None, answer(409, message="leader has version 1 and not 0")]
    with pytest.raises(ConnectionError, match=r"'leader' with if_version=0.*may have been made"):
        store.set("leader", "me", if_version=0)
    assert len(master.asked) == 1


def test_a_condition_is_sent_again_where_nothing_was_done(master: Master, store: KeyValueStore) -> None:
    master.script = [answer(503, message="taking over"), answer(200, version=7)]
    assert store.set("leader", "me", if_version=0) == 7
    assert len(master.asked) == 2


def test_what_may_be_said_twice_is(master: Master, store: KeyValueStore) -> None:
    master.script = [None, answer(200, version=3)]
    assert store.set("k", "v") == 3


def test_a_change_that_is_not_safe_says_so(master: Master, store: KeyValueStore) -> None:
    master.script = [answer(504, error="LateJournal", message="it may be kept or not")]
    with pytest.raises(LateChange, match="kept or not"):
        store.set("k", "v")


def news(revision: int, *changes: tuple[str, str | None]) -> bytes:
    found = [{"key": key, "value": value, "version": revision} for key, value in changes]
    return answer(200, changes=found, revision=revision, complete=False)


def test_a_watch_goes_on_after_the_first_news(master: Master, store: KeyValueStore) -> None:
    master.script = [news(1, ("a", "x")), news(2, ("b", "y")), *[news(2)] * 1000]
    seen = store.watch(timeout=15)
    assert [next(seen).key, next(seen).key] == ["a", "b"]
    assert [asked["since"] for asked in master.asked] == [0, 1]


def test_a_key_that_was_deleted_is_waited_for(master: Master, store: KeyValueStore) -> None:
    # It is told of the deletion at once; asked for the same again it would be told again, without a pause.
    master.script = [news(5, ("k", None)), news(6, ("k", "x"))]
    assert store.wait("k", timeout=15) == "x"
    assert [asked["since"] for asked in master.asked] == [0, 5]
