"""HTTP to HDFS: which NameNode answers, where it sends us for the bytes, and what its errors mean."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests

from knit_provider.yarn.errors import (
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.files.port import RemoteFileExists, RemoteFileNotFound
from knit_provider.yarn.proxy_user import with_way_out
from knit_provider.yarn.rest.answers import Answer
from knit_provider.yarn.rest.knox import Topology, is_login_page
from knit_provider.yarn.rest.shapes import items
from knit_provider.yarn.rest.transport import CONNECT_TIMEOUT, Transport, TrustingAdapter, Unanswered
from knit_provider.yarn.rest.unlogged import shown
from knit_provider.yarn.tls import Trust

CALL_TIMEOUT = 20.0
"""Seconds for one call to a NameNode."""

SILENCE_TIMEOUT = 60.0
"""Seconds that a transfer of bytes may stand still."""

FAILOVER_TIMEOUT = 10.0
"""Seconds to wait for a NameNode to become active."""

_FAILOVER_PAUSE = 0.3
_DATANODES = 3
_STATUS = "Hadoop:service=NameNode,name=NameNodeStatus"
_BLOCK = 256 * 1024
_NOT_ACTIVE = ("StandbyException", "RetriableException", "ObserverRetryOnActiveException")

_ERRORS: Mapping[str, type[KnitError]] = {
    "FileNotFoundException": RemoteFileNotFound,
    "FileAlreadyExistsException": RemoteFileExists,
    "PathIsNotEmptyDirectoryException": RemoteFileExists,
    "ParentNotDirectoryException": RemoteFileExists,
    "AccessControlException": PermissionDenied,
    "AuthorizationException": PermissionDenied,
    "SecurityException": PermissionDenied,
    "QuotaExceededException": ConfigurationError,
    "NSQuotaExceededException": ConfigurationError,
    "DSQuotaExceededException": ConfigurationError,
    "QuotaByStorageTypeExceededException": ConfigurationError,
    "InvalidPathException": ConfigurationError,
    "IllegalArgumentException": ConfigurationError,
    "UnsupportedOperationException": ConfigurationError,
    "SafeModeException": ClusterUnavailable,
}


class DataNodeUnreachable(ClusterUnavailable):
    """The NameNode answers, but none of the DataNodes that it names can be reached from here."""


class Body(Protocol):
    """Bytes to send, which can be sent again from the start."""

    def __len__(self) -> int: ...

    def read(self, size: int = -1) -> bytes: ...

    def rewind(self) -> None: ...


class _FilesTransport(Transport):
    """A transport that also sends bodies, in large pieces."""

    def send(self, url: str, body: Body) -> Answer:
        """PUT a body and read the answer; ``SILENCE_TIMEOUT`` counts from the last byte that moved."""
        proxies = self._proxies(url)
        try:
            response = self._session().put(
                url,
                data=body,
                headers={"Content-Type": "application/octet-stream"},
                auth=self.auth,
                timeout=(CONNECT_TIMEOUT, SILENCE_TIMEOUT),
                allow_redirects=False,
                proxies=proxies,
                verify=self._verified(),
            )
        except requests.RequestException as error:
            proxy = proxies.get(urlsplit(url).scheme)
            raise self._unanswered(url, error, SILENCE_TIMEOUT, proxy) from shown(error, url)
        return Answer("PUT", url.partition("?")[0], response.status_code, response.headers, response.content)

    def _adapter(self) -> _LargePieces:
        return _LargePieces(self._pem, pool_connections=32, pool_maxsize=16)


class _LargePieces(TrustingAdapter):
    """Sends bodies in pieces of 256 KiB; the usual 16 KiB cost a system call each."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, blocksize=_BLOCK, **kwargs)


class NameNodes:
    """The NameNodes of one HDFS, as one user asks them. Safe to use from several threads.

    Args:
        addresses: base URLs of their web interfaces.
        user: sent as ``user.name``.
        auth: a ``requests`` authentication object in place of ``user.name``.
        verify: as in ``requests``.
        acted_for: whom that user or login acts for (``doas``), if it is not for itself.
        delegation: gives a delegation token in place of any login, in its URL-safe form.
        topology: of the gateway through which all goes; its ``url`` is then the one address.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        user: str,
        auth: Any = None,
        verify: bool | str | Trust | None = None,
        *,
        acted_for: str | None = None,
        delegation: Callable[[], str] | None = None,
        topology: Topology | None = None,
    ) -> None:
        if not addresses:
            raise ConfigurationError("no NameNode with a web interface is configured; set dfs.namenode.http-address")
        self.addresses = tuple(address.rstrip("/") for address in addresses)
        self.user = user
        self._names_user = auth is None and topology is None
        self._acted_for = acted_for
        self._delegation = delegation
        self._topology = topology
        self._transport = _FilesTransport(auth, verify, keep_cookies=auth is not None)
        self._active = self.addresses[0]
        self._lock = threading.Lock()

    def call(self, method: str, operation: str, path: str, **parameters: object) -> dict[str, Any]:
        """Carry out an operation on the active NameNode.

        Args:
            method: HTTP method.
            operation: name of the WebHDFS operation.
            path: absolute path, not encoded.
            **parameters: of the operation.

        Returns:
            The answer's JSON object, empty where the answer has none.

        Raises:
            KnitError: what HDFS says, as the error that fits.
        """
        answer = self._ask(method, operation, path, parameters)
        return answer.json() if answer.body.strip() else {}

    def jmx(self, bean: str) -> dict[str, Any]:
        """A bean of the NameNode's management interface; empty behind a gateway."""
        if self._topology is not None:
            return {}
        answer = self._transport.exchange(
            "GET", f"{self._active}/jmx", params={"qry": bean, **self._identity()}, timeout=CALL_TIMEOUT
        )
        return next(iter(items(answer.json(), "beans")), {}) if answer.status == 200 else {}

    def ha_states(self) -> dict[str, str]:
        """The state of each NameNode by address: ``active``, ``standby``, or in other words why it does not tell."""
        found = {}
        for address in self.addresses:
            try:
                answer = self._transport.exchange(
                    "GET", f"{address}/jmx", params={"qry": _STATUS, **self._identity()}, timeout=CALL_TIMEOUT
                )
                beans = answer.json().get("beans") if answer.status == 200 else None
                found[address] = str(beans[0]["State"]).lower() if beans else f"answers {answer.shown()}"
            except (KnitError, KeyError) as error:
                found[address] = str(error)
        return found

    def rpc_address(self) -> str | None:
        """``host:port`` at which the active NameNode serves Hadoop's RPC; None where it (or a proxy) doesn't say."""
        try:
            return str(self.jmx(_STATUS).get("HostAndPort") or "") or None
        except KnitError:
            return None

    def upload(self, path: str, body: Body, **parameters: object) -> None:
        """Create a file; DataNodes that cannot be reached are passed over."""
        for location in self._locations("PUT", "CREATE", path, parameters):
            if isinstance(location, Answer):
                raise self._error(location, path)
            body.rewind()
            try:
                answer = self._transport.send(location, body)
            except Unanswered as error:
                if error.sent:
                    raise
                continue
            if answer.status not in (200, 201):
                raise self._error(answer, path)
            return

    def download(self, path: str, max_bytes: int, offset: int = 0) -> bytes:
        """At most ``max_bytes`` of a file, from ``offset`` on."""
        for location in self._locations("GET", "OPEN", path, {"length": max_bytes, "offset": offset or None}):
            if isinstance(location, Answer):
                return location.body
            try:
                answer = self._transport.exchange("GET", location, timeout=SILENCE_TIMEOUT)
            except Unanswered as error:
                if error.sent:
                    raise
                continue
            if answer.status != 200:
                raise self._error(answer, path)
            return answer.body
        raise AssertionError("_locations raises when it has no more")

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _locations(
        self, method: str, operation: str, path: str, parameters: Mapping[str, object]
    ) -> Iterator[str | Answer]:
        """URLs on DataNodes, each time one other than those before; or the data, where HttpFS answers with that."""
        passed_over: list[str] = []
        for _ in range(_DATANODES):
            excluded = {"excludedatanodes": ",".join(passed_over)} if passed_over else {}
            # A gateway translates a redirect, and no address that is in an answer's body.
            how = {"noredirect": "true"} if self._topology is None else {}
            try:
                answer = self._ask(method, operation, path, {**parameters, **excluded, **how})
            except ClusterUnavailable:
                if passed_over:
                    break
                raise
            if not how and answer.status == 200:
                yield answer
                return
            location = answer.headers.get("Location") or str((answer.json() if how else {}).get("Location", ""))
            try:
                parts = urlsplit(location)
            except ValueError:
                parts = urlsplit("")
            if parts.scheme not in ("http", "https") or not parts.netloc:
                # Behind the question mark is what lets its bearer read or write.
                place = location.partition("?")[0]
                raise ClusterUnavailable(f"{answer.url} named {place!r} as the place of the data, which is no URL")
            if parts.scheme == "http" and answer.url.startswith("https:"):
                raise ClusterUnavailable(f"{answer.url} sends us to {parts.netloc} without TLS; that is refused")
            if self._topology is not None and not self._topology.holds(location):
                raise ClusterUnavailable(
                    f"{answer.url} sends us to {parts.netloc} for the data, past the gateway {self._topology.url}; "
                    "that is refused. Its service WEBHDFS has to rewrite the redirects of the NameNode"
                )
            if parts.netloc in passed_over:
                break
            yield location
            passed_over.append(parts.netloc)
        raise DataNodeUnreachable(
            f"the NameNode sends us to {', '.join(passed_over)} for the data of {path}, where nothing answers; do "
            "firewall and name resolution here let DataNodes' web ports through?"
        )

    def _ask(self, method: str, operation: str, path: str, parameters: Mapping[str, object]) -> Answer:
        query = {"op": operation, **self._identity()}
        query |= {key: str(value) for key, value in parameters.items() if value is not None}
        # HttpFS behind a gateway answers this with the data.
        limit = SILENCE_TIMEOUT if operation == "OPEN" and self._topology is not None else CALL_TIMEOUT
        deadline = time.monotonic() + FAILOVER_TIMEOUT
        while True:
            problems, may_pass = [], False
            for address in self._in_order():
                url = f"{address}/webhdfs/v1{quote(path, safe='/', errors='surrogateescape')}"
                try:
                    answer = self._transport.exchange(method, url, params=query, timeout=limit)
                except Unanswered as error:
                    problems.append(str(error))
                    may_pass |= error.may_pass and len(self.addresses) > 1
                    continue
                remote = answer.remote_exception() or {}
                if answer.status >= 400 and remote.get("exception") in _NOT_ACTIVE:
                    problems.append(f"{address} is not active: {first_line(remote.get('message', ''))}")
                    may_pass = True
                    continue
                with self._lock:
                    self._active = address
                if answer.status not in (200, 201, 307) or is_login_page(answer):
                    raise self._error(answer, path)
                return answer
            if not may_pass or time.monotonic() + _FAILOVER_PAUSE > deadline:
                raise ClusterUnavailable(f"no NameNode serves {path}: {'; '.join(problems)}")
            time.sleep(_FAILOVER_PAUSE)

    def _in_order(self) -> list[str]:
        with self._lock:
            return [self._active, *(address for address in self.addresses if address != self._active)]

    def _identity(self) -> dict[str, str]:
        if self._delegation is not None:
            return {"delegation": self._delegation()}
        named = {"user.name": self.user} if self._names_user else {}
        return named if self._acted_for is None else {**named, "doas": self._acted_for}

    def _error(self, answer: Answer, path: str) -> KnitError:
        remote = answer.remote_exception()
        if remote is None:
            refusal = self._topology.refusal(answer, self.user) if self._topology is not None else None
            if refusal is not None:
                return refusal
            if answer.status == 401:
                who = "the delegation token" if self._delegation is not None else f"user {self.user}"
                return AuthenticationFailed(f"{answer.url} does not accept {who}: {answer.shown()}")
            return ClusterUnavailable(
                f"{answer.url} answered {answer.shown()}, which is no answer of WebHDFS's; is that the NameNode's web "
                "port (9870 by default), and is dfs.webhdfs.enabled true?"
            )
        return error_from_hdfs(remote["exception"], remote["message"], path, answer.status)


def error_from_hdfs(exception: str, message: str, path: str, status: int = 0) -> KnitError:
    """The error for an exception of HDFS's.

    Args:
        exception: its class, without the package.
        message: its text, with or without a stack trace behind it.
        path: what was asked for.
        status: of the HTTP answer that it came in, where it came in one.
    """
    words = first_line(message)
    # WebHDFS wraps it into an exception of another kind.
    kind = AuthenticationFailed if "$InvalidToken" in f"{exception}{message}" else _ERRORS.get(exception)
    if kind is None and "could only be written to" in words:
        return ClusterUnavailable(f"{path}: HDFS has no DataNode with room for it: {words}")
    if kind is None:
        kind = ClusterUnavailable if status >= 500 or exception in _NOT_ACTIVE else KnitError
    if kind is ConfigurationError and "Quota" in exception:
        words = f"the quota is exceeded: {words}"
    return with_way_out(kind(f"{path}: {words}" if path not in words else words))


def first_line(message: str) -> str:
    """Hadoop puts a stack trace behind the message of what failed on a DataNode."""
    with contextlib.suppress(IndexError):
        return message.strip().splitlines()[0]
    return message
