"""One HTTP exchange: proxies, TLS, time limits and the body's size; what failed, and whether anything was sent."""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from knit_provider.yarn.errors import ClusterUnavailable
from knit_provider.yarn.rest.answers import LARGEST_ANSWER, Answer
from knit_provider.yarn.rest.unlogged import keep_tokens_out_of_logs, shown

CONNECT_TIMEOUT = 3.0
"""Seconds for the TCP and TLS handshakes with one address."""

_CHUNK = 64 * 1024

keep_tokens_out_of_logs()


class Unanswered(ClusterUnavailable):
    """An exchange that brought no complete answer.

    Attributes:
        sent: whether the request may have reached the daemon.
        may_pass: whether the same may well work a moment later, as with a refused connection during a restart.
    """

    def __init__(self, message: str, *, sent: bool, may_pass: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.may_pass = may_pass


class _NoRedirects(requests.Session):
    """Reads nothing ahead: even when it doesn't follow them, requests reads a redirect's body whole to prepare to."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class Transport:
    """HTTP connections of one user to one cluster. Safe to use from several threads and after a fork."""

    def __init__(self, auth: Any = None, verify: bool | str | None = None, keep_cookies: bool = False) -> None:
        self.auth = auth
        self._verify = verify
        self._keep_cookies = keep_cookies
        self._lock = threading.Lock()
        self._http: requests.Session | None = None
        self._pid = os.getpid()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Answer:
        """Send a request and read the whole answer within ``timeout`` seconds.

        Raises:
            Unanswered: if there is no answer, or not all of one.
        """
        deadline = time.monotonic() + timeout
        with self.stream(method, url, timeout=timeout, params=params, headers=headers, json=json) as response:
            body = bytearray()
            for chunk in self.chunks(response, deadline):
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise Unanswered(
                        f"{url} answered more than {LARGEST_ANSWER >> 20} MiB; that is no answer of YARN's",
                        sent=True,
                        may_pass=False,
                    )
            return Answer(method, response.url.partition("?")[0], response.status_code, response.headers, bytes(body))

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Iterator[requests.Response]:
        """Send a request and give the answer with its body unread; redirects are not followed."""
        proxies = self._proxies(url)
        try:
            response = self._session().request(
                method,
                url,
                params=params,
                headers=headers,
                json=json,
                auth=self.auth,
                timeout=(min(CONNECT_TIMEOUT, timeout), max(timeout, 0.1)),
                allow_redirects=False,
                stream=True,
                proxies=proxies,
                verify=self._verified(),
            )
        except requests.RequestException as e:
            raise _unanswered(url, e, timeout, proxies.get(urlsplit(url).scheme)) from shown(e, url, params)
        try:
            yield response
        finally:
            response.close()

    def chunks(self, response: requests.Response, deadline: float | None = None) -> Iterator[bytes]:
        """The body in pieces, complete or with an error."""
        got = 0
        url = response.url.partition("?")[0]
        try:
            # read1 gives what has come, where iter_content waits for a whole piece: an answer that trickles would
            # never reach the check of its deadline.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                got += len(chunk)
                yield chunk
                if deadline is not None and time.monotonic() > deadline:
                    raise Unanswered(
                        f"{url} sends its answer too slowly: {got} bytes when the time was up",
                        sent=True,
                        may_pass=False,
                    )
        except (requests.RequestException, HTTPError, OSError) as e:
            if isinstance(e, ClusterUnavailable):
                raise
            raise Unanswered(
                f"{url} broke off its answer after {got} bytes ({_reason(e)})", sent=True, may_pass=True
            ) from e

    def close(self) -> None:
        """Close the connections; a later exchange opens new ones."""
        with self._lock:
            if self._http is not None and self._pid == os.getpid():
                self._http.close()
            self._http = None

    def _session(self) -> requests.Session:
        with self._lock:
            # A forked child shares its parent's sockets; two processes on one connection read each other's answers.
            if self._http is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._http = self._new_session()
            return self._http

    def _new_session(self) -> requests.Session:
        http = _NoRedirects()
        # Else requests takes credentials out of ~/.netrc, and proxies for loopback too.
        http.trust_env = False
        if not self._keep_cookies:
            # The daemons sign their cookies with different secrets, and cookies know no ports.
            http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # A compressed answer that is cut short can pass for a whole one; a plain one is compared with Content-Length.
        http.headers.update({"User-Agent": "knit-provider", "Accept-Encoding": "identity"})
        for scheme in ("http://", "https://"):
            http.mount(scheme, HTTPAdapter(pool_connections=32, pool_maxsize=16))
        return http

    def _verified(self) -> bool | str:
        if self._verify is not None:
            return self._verify
        return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True

    def _proxies(self, url: str) -> dict[str, str]:
        host = urlsplit(url).hostname or ""
        return {} if is_loopback(host) else dict(get_environ_proxies(url))


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unanswered(url: str, error: requests.RequestException, timeout: float, proxy: str | None) -> Unanswered:
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}" + (f" (through the proxy {proxy} of the environment)" if proxy else "")
    reason = _reason(error)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        place = url.partition("?")[0]
        return Unanswered(f"{place} is not a URL that can be asked: {reason}", sent=False, may_pass=False)
    if isinstance(error, requests.exceptions.SSLError):
        return Unanswered(
            f"TLS with {base} failed: {reason}; does it speak https there? A private CA goes into verify=, or its file "
            "into REQUESTS_CA_BUNDLE",
            sent=False,
            may_pass=False,
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unanswered(f"{base} did not answer a connection in {CONNECT_TIMEOUT:g} s", sent=False, may_pass=False)
    if isinstance(error, requests.exceptions.ReadTimeout):
        return Unanswered(f"{base} took the request and said nothing for {timeout:.0f} s", sent=True, may_pass=False)
    if _caused_by(error, NameResolutionError):
        return Unanswered(f"the host name of {base} is unknown here ({reason})", sent=False, may_pass=False)
    if _caused_by(error, ConnectionRefusedError):
        return Unanswered(f"{base} refused the connection", sent=False, may_pass=True)
    if "BadStatusLine" in str(error) or "LineTooLong" in str(error) or "RemoteDisconnected" in str(error):
        gone = "RemoteDisconnected" in str(error)
        said = "closed the connection without an answer" if gone else f"answered something that is not HTTP: {reason}"
        return Unanswered(f"{base} {said}; is that the right port and scheme?", sent=True, may_pass=gone)
    return Unanswered(f"cannot talk to {base}: {reason}", sent=not _caused_by(error, NewConnectionError), may_pass=True)


def _caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    seen: set[int] = set()
    todo: list[Any] = [error]
    while todo:
        current = todo.pop()
        if isinstance(current, kind) and current is not error:
            return True
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return False


def _reason(error: BaseException) -> str:
    inner: Any = error
    while isinstance(inner, BaseException):
        further = getattr(inner, "reason", None)
        if not isinstance(further, BaseException):
            further = next((arg for arg in inner.args if isinstance(arg, BaseException)), None)
        if further is None:
            break
        inner = further
    text = str(inner)
    return " ".join((text.rpartition(">: ")[2] or text).split())[:200] or type(inner).__name__
