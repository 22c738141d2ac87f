"""What a process in a container of an application finds of it: secrets, and the application's key-value store.

Needs nothing but Python, and imports nothing else of this package: a container whose environment lacks knit-provider
gets this very file as one of its own (``files=[knit_provider.yarn.container.__file__]``), and imports it.

Example:
    >>> import container                                   # doctest: +SKIP
    >>> container.kv().set("server", "node7:8000")         # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WORKER_SECRET = "knit.worker.secret"  # noqa: S105 - the name of a secret, not one
CERTIFICATE = "knit.certificate"

# The ApplicationMaster holds a request for at most 20 s, which its HTTP server allows.
LONGEST_POLL = 20.0

# It answers a change once that is safe in HDFS, or after 10 s with an error.
_ANSWER_SECONDS = 15.0

Call = Callable[[str, Mapping[str, Any], float], "dict[str, Any]"]


@dataclass(frozen=True)
class Change:
    """What has become of a key.

    Attributes:
        key: the key.
        value: its value now; None where it was deleted.
        version: number of the change; a later change of any key has a higher one.
    """

    key: str
    value: str | None
    version: int


class LateChange(RuntimeError):
    """A change is made, but not written to HDFS yet: an ApplicationMaster that is restarted now may not know of it."""


class KeyValueStore:
    """Small texts under names, kept by the ApplicationMaster for its application's containers and owner.

    It outlives a restart of the ApplicationMaster and ends with the application. A key has up to 512 characters, a
    value up to 262,144; at most 20,000 keys and 8 Mi characters in all. Nothing in it is secret from the
    application's own containers.

    Args:
        call: sends a request: path, body and the seconds that its answer may take.
        timeout_error: what :meth:`wait` raises after its timeout.
    """

    def __init__(self, call: Call, timeout_error: type[TimeoutError] = TimeoutError) -> None:
        self._call = call
        self._timeout_error = timeout_error

    def get(self, key: str, default: str | None = None) -> str | None:
        """The key's value, or ``default`` where it is not set."""
        value = self._send("get", {"key": key})["value"]
        return default if value is None else str(value)

    def version(self, key: str) -> int:
        """Number of the key's last change; 0 where it is not set."""
        return int(self._send("get", {"key": key})["version"])

    def set(self, key: str, value: str, *, if_version: int | None = None) -> int:
        """Set a key; returns once it would outlive the ApplicationMaster.

        Args:
            key: the key.
            value: its new value.
            if_version: only if this is the key's version; 0: only if it is not set. Default: whatever it is.

        Returns:
            The number of the change.

        Raises:
            ConnectionError: in a container, with ``if_version``: the answer was lost, and the change may have been
                made; it is not asked for again, which would refuse what has just been done. :meth:`get` tells.
            LateChange: in a container: it is made, but would not yet outlive the ApplicationMaster.
            RuntimeError: in a container: it was refused; says why. The owner gets a KnitError in both cases.
        """
        if not isinstance(value, str):
            raise TypeError(
                f"the value of {key!r} is a {type(value).__name__}; the store keeps text: json.dumps makes it"
            )
        return int(self._send("set", _conditional({"key": key, "value": value}, if_version))["version"])

    def delete(self, key: str, *, if_version: int | None = None) -> bool:
        """Delete a key; returns whether it was set.

        After a connection that broke the request is sent again, and False may mean that the first one did it.
        """
        return bool(self._send("delete", _conditional({"key": key}, if_version))["deleted"])

    def list(self, prefix: str = "") -> dict[str, str]:
        """All keys that begin with ``prefix`` and their values, by key."""
        values: dict[str, str] = self._send("list", {"prefix": prefix})["values"]
        return dict(sorted(values.items()))

    def wait(self, key: str, timeout: float | None = None) -> str:
        """The key's value, as soon as it is set.

        Args:
            key: the key.
            timeout: seconds; None (default) waits to the application's end.

        Raises:
            TimeoutError: it was not set within ``timeout``.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        since = 0
        while True:
            poll = _poll(deadline)
            answer = self._send("watch", {"key": key, "since": since, "timeout_s": poll}, poll)
            for change in answer["changes"]:
                if change["value"] is not None:
                    return str(change["value"])
            # Told at once, and only once, that it was deleted some time ago.
            since = max(since, int(answer["revision"]))
            if deadline is not None and time.monotonic() >= deadline:
                raise self._timeout_error(f"nobody has set {key!r} in the application's store within {timeout} s")

    def watch(self, prefix: str = "", timeout: float | None = None) -> Iterator[Change]:
        """What is there under ``prefix``, and from then on every change as it happens.

        Of several changes of a key in quick succession only the last may be seen.

        Args:
            prefix: what the keys begin with.
            timeout: seconds after which the iteration ends; None (default) goes on to the application's end.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        known: set[str] = set()
        since = 0
        while True:
            poll = _poll(deadline)
            answer = self._send("watch", {"prefix": prefix, "since": since, "timeout_s": poll}, poll)
            found = [Change(c["key"], c["value"], int(c["version"])) for c in answer["changes"]]
            since = max(since, int(answer["revision"]))
            if answer.get("complete"):
                there = {change.key for change in found}
                found += [Change(key, None, since) for key in sorted(known - there)]
            for change in sorted(found, key=lambda change: change.version):
                if change.value is not None:
                    known.add(change.key)
                elif change.key not in known:
                    continue
                else:
                    known.discard(change.key)
                yield change
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _send(self, what: str, body: Mapping[str, Any], seconds: float = 0.0) -> dict[str, Any]:
        return self._call(f"/v1/kv/{what}", body, seconds)


def _poll(deadline: float | None) -> float:
    return LONGEST_POLL if deadline is None else max(0.0, min(LONGEST_POLL, deadline - time.monotonic()))


def _conditional(body: dict[str, Any], if_version: int | None) -> dict[str, Any]:
    return body if if_version is None else {**body, "if_version": if_version}


def kv(environ: Mapping[str, str] | None = None) -> KeyValueStore:
    """The store of the application that this container belongs to.

    Args:
        environ: the container's variables; default this process's.

    Raises:
        RuntimeError: this is no container of an application, or it has no ApplicationMaster that can be spoken to.
    """
    return KeyValueStore(MasterClient(os.environ if environ is None else environ).call)


class MasterClient:
    """Speaks to the ApplicationMaster with the secret that containers have."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("KNIT_AM_ADDRESS", "")
        self._host, _, port = address.rpartition(":")
        if not self._host:
            raise RuntimeError(
                "KNIT_AM_ADDRESS is not set: this is no container of an application, or it has no control port"
            )
        self._port = int(port)
        found = secrets(environ)
        if WORKER_SECRET not in found or CERTIFICATE not in found:
            raise RuntimeError("this container was given no secret for its ApplicationMaster")
        self._secret = found[WORKER_SECRET].decode("ascii")
        self._fingerprint = hashlib.sha256(found[CERTIFICATE]).digest()

    def call(self, path: str, body: Mapping[str, Any], seconds: float = 0.0) -> dict[str, Any]:
        """Send a request and return its answer, tried again for 20 s where nobody answers.

        One with a condition is sent once only: had it been done, it would refuse itself.

        Raises:
            ConnectionError: nobody answers.
            LateChange: it was done, and is not safe yet.
            RuntimeError: the request was refused; says why.
        """
        deadline = time.monotonic() + 20
        while True:
            sent = False
            try:
                connection = self._connect(_ANSWER_SECONDS + seconds)
                sent = True
                status, answer = self._once(connection, path, body)
                if status != 503:
                    break
                problem = str(answer.get("message"))
            except (OSError, http.client.HTTPException, ValueError) as e:
                problem = str(e) or type(e).__name__
                if sent and "if_version" in body:
                    raise ConnectionError(
                        f"{path} of {body['key']!r} with if_version={body['if_version']}: the ApplicationMaster at "
                        f"{self._host}:{self._port} was asked, and its answer was lost ({problem}). The change may "
                        "have been made; get the key to know"
                    ) from e
            if time.monotonic() > deadline:
                raise ConnectionError(f"the ApplicationMaster at {self._host}:{self._port} does not answer: {problem}")
            time.sleep(0.5)
        if status == 504:
            raise LateChange(f"{path}: {answer.get('message')}")
        if status >= 300:
            raise RuntimeError(f"{path}: {answer.get('message') or answer.get('error') or status}")
        return answer

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        # The certificate itself is compared, which is more than any authority could say of it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=context)
        try:
            connection.connect()
            presented = connection.sock.getpeercert(binary_form=True) or b""
            if hashlib.sha256(presented).digest() != self._fingerprint:
                raise RuntimeError(
                    f"what answers at {self._host}:{self._port} is not this application's ApplicationMaster"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _once(
        self, connection: http.client.HTTPSConnection, path: str, body: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        try:
            connection.request("POST", path, json.dumps(body).encode(), {"Authorization": f"Bearer {self._secret}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()


def secrets(environ: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """The secrets that came with this container's credentials, by name.

    Args:
        environ: the container's variables; default this process's.

    Raises:
        RuntimeError: there is no file of credentials, or it is of an unknown kind.
    """
    path = (os.environ if environ is None else environ).get("HADOOP_TOKEN_FILE_LOCATION", "")
    if not path:
        raise RuntimeError("HADOOP_TOKEN_FILE_LOCATION is not set: YARN has given this process no credentials")
    with open(path, "rb") as file:
        return _secret_keys(file.read(), path)


def _secret_keys(data: bytes, origin: str) -> dict[str, bytes]:
    """Read a file of Hadoop credentials: four letters, a version, the tokens and then the secrets."""
    if data[:4] != b"HDTS" or data[4:5] != b"\0":
        raise RuntimeError(f"{origin} holds no Hadoop credentials of a kind that is known here")
    position = 5

    def number() -> int:
        nonlocal position
        (first,) = struct.unpack_from("b", data, position)
        position += 1
        if first >= -112:
            return int(first)
        negative = first < -120
        length = -(first + 120) if negative else -(first + 112)
        value = int.from_bytes(data[position : position + length], "big")
        position += length
        return ~value if negative else value

    def chunk() -> bytes:
        nonlocal position
        length = number()
        position += length
        return data[position - length : position]

    for _ in range(number()):
        for _ in range(5):  # alias, identifier, password, kind, service
            chunk()
    return {chunk().decode(): chunk() for _ in range(number())}
