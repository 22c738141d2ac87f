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
from knit_provider.yarn.tls.trouble import refused_certificate
from knit_provider.yarn.tls.trust import VARIABLES, Trust

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


class CertificateRefused(Unanswered):
    """A server whose certificate does not prove that it is the one meant; nothing was said to it."""


class _NoRedirects(requests.Session):
    """Reads nothing ahead: even when it doesn't follow them, requests reads a redirect's body whole to prepare to."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class TrustingAdapter(HTTPAdapter):
    """Connections that trust the given CAs and no others; with None, those that ``verify`` of the request says."""

    def __init__(self, pem: str | None, **kwargs: Any) -> None:
        self._pem = pem
        super().__init__(**kwargs)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """Makes the pool. Called by ``requests``."""
        super().init_poolmanager(connections, maxsize, block, **self._trusted(), **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Makes the pool behind a proxy. Called by ``requests``."""
        return super().proxy_manager_for(proxy, **self._trusted(), **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Sets up the check of a certificate. Called by ``requests``."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if self._pem is not None and verify is True:
            # Else the public CAs are trusted too.
            conn.ca_certs = conn.ca_cert_dir = None

    def _trusted(self) -> dict[str, Any]:
        return {} if self._pem is None else {"ca_cert_data": self._pem}


class Transport:
    """HTTP connections of one user to one cluster. Safe to use from several threads and after a fork.

    Args:
        auth: a ``requests`` authentication object.
        verify: as in ``requests``, or whom to trust; None trusts what the environment says, else the public CAs.
        keep_cookies: send back the cookies that servers give.
    """

    def __init__(self, auth: Any = None, verify: bool | str | Trust | None = None, keep_cookies: bool = False) -> None:
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
            raise self._unanswered(url, e, timeout, proxies.get(urlsplit(url).scheme)) from shown(e, url, params)
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
            http.mount(scheme, self._adapter())
        return http

    def _adapter(self) -> HTTPAdapter:
        return TrustingAdapter(self._pem, pool_connections=32, pool_maxsize=16)

    @property
    def _pem(self) -> str | None:
        return self._verify.pem if isinstance(self._verify, Trust) else None

    def _verified(self) -> bool | str:
        if self._pem is not None:
            return True
        if self._verify is not None and not isinstance(self._verify, Trust):
            return self._verify
        return next((os.environ[name] for name in VARIABLES if os.environ.get(name)), True)

    def _unanswered(self, url: str, error: requests.RequestException, timeout: float, proxy: str | None) -> Unanswered:
        if isinstance(error, requests.exceptions.SSLError) and not proxy:
            trusted = self._verify.source if isinstance(self._verify, Trust) else str(self._verified())
            if refused := refused_certificate(url, error, trusted):
                return CertificateRefused(refused, sent=False, may_pass=False)
        return _unanswered(url, error, timeout, proxy)

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
    base = f"{parts.scheme}://{parts.netloc}"
    if proxy:
        # What stands before an @ there is somebody's password.
        base += f" (through the proxy {proxy.rpartition('@')[2]} of the environment)"
    reason = _reason(error)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        place = url.partition("?")[0]
        return Unanswered(f"{place} is not a URL that can be asked: {reason}", sent=False, may_pass=False)
    if isinstance(error, requests.exceptions.SSLError):
        return Unanswered(
            f"TLS with {base} failed: {reason}; does it speak https there? A private CA's certificate goes into "
            "ca_bundle=",
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
