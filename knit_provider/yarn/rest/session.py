"""``Session``: what every REST call of one user to one cluster goes through."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import tenacity

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.rest.active import ResourceManagers, is_redirect, is_standby
from knit_provider.yarn.rest.answers import NOT_YARN, Answer, error_of
from knit_provider.yarn.rest.auth import KerberosAuth
from knit_provider.yarn.rest.gateway_path import SUFFIX, checked_path, rest_roots
from knit_provider.yarn.rest.knox import CONF_PATHS, Topology, is_login_page
from knit_provider.yarn.rest.password import PasswordAuth
from knit_provider.yarn.rest.transport import Transport, Unanswered
from knit_provider.yarn.tls import trust_of
from knit_provider.yarn.units import check_seconds

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds that one call may take, whatever it has to try (default)."""

_TRIES = 3
_SHORTEST_TRY = 0.5
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")
# A standby answers these itself, so who answers them need not be the active one.
_LOCAL = ("cluster/info", "/conf")


class MayHaveTakenEffect(ClusterUnavailable):
    """The answer to a request that changes something was lost. Look before it is repeated."""


class _Passing(Exception):
    """A failure that may be gone a moment later.

    Attributes:
        takeover: none of several ResourceManagers was the active one, so that another one is about to be.
    """

    def __init__(self, error: ClusterUnavailable, takeover: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.takeover = takeover


class Session:
    """REST calls of one user to one cluster: the active ResourceManager, and NodeManagers by URL.

    Finds the active one of several ResourceManagers and remembers it; follows no redirect to a host that is not
    configured; repeats what is safe to repeat when a connection fails; turns every failure into an error of
    :mod:`knit_provider.yarn.errors` within its time limit. Safe to share between threads, and to keep over a fork.

    Args:
        conf: the cluster's configuration; default: read from where Hadoop keeps it.
        user: sent as ``user.name``; default the configuration's.
        password: sent with ``user`` as HTTP Basic authentication, for clusters and gateways that ask for it; never
            over plain HTTP where the ResourceManagers have TLS, and to nobody behind a gateway.
        gateway_path: path of a proxy such as Knox. Both of Knox's ways are understood: below
            ``/gateway/default/resourcemanager`` the interface is looked for at ``/ws/v1`` and at ``/v1``; a path that
            ends so is taken as it is.
        scheme: ``"http"`` or ``"https"``; default by ``yarn.http.policy``.
        addresses: base URLs or ``host:port`` of the ResourceManagers' web ports; default the configuration's.
        timeout: seconds that one call may take (default 10).
        auth: a ``requests`` authentication object used in place of ``user.name`` and password. Default on a cluster
            with Kerberos, unless there is a password: SPNEGO with the ticket of the environment's credential cache.
        verify: as in ``requests``: False, or a file of CA certificates. Default: what
            :func:`knit_provider.yarn.tls.trust_of` finds in the configuration.
        acted_for: whom the user or login acts for (``doAs``), where the cluster allows it.

    Attributes:
        conf: the configuration.
        user: who the calls are made as: ``acted_for`` where that is given.
        caller: who is behind them.
        addresses: base URLs of the ResourceManagers.
        topology: of Knox, where ``gateway_path`` leads into one.
        node_scheme: what NodeManagers speak behind a gateway, once that is known.

    Raises:
        ConfigurationError: for arguments that cannot be used.
    """

    def __init__(
        self,
        conf: HadoopConf | None = None,
        user: str | None = None,
        password: str | None = None,
        gateway_path: str | None = None,
        scheme: str | None = None,
        addresses: Sequence[str] | None = None,
        timeout: float = TIMEOUT,
        auth: Any = None,
        verify: bool | str | None = None,
        acted_for: str | None = None,
    ) -> None:
        self.conf = HadoopConf.load() if conf is None else conf
        self.caller = str(user or self.conf.user)
        self.acted_for = acted_for
        self.timeout = check_seconds(timeout, "timeout", minimum=0.1, maximum=3600)
        self._explicit = addresses is not None or self.conf.rm_is_configured
        if addresses is not None:
            given = {"rm_addresses": list(addresses), "scheme": scheme or self.conf.scheme}
            self._managers = ResourceManagers(HadoopConf.load(autodetect=False, pars=given).rm_web_addresses())
        else:
            self._managers = ResourceManagers(self.conf.rm_web_addresses(scheme))
        self.gateway_path = checked_path(gateway_path or self.conf["gateway_path"])
        self._roots = rest_roots(self.gateway_path)
        self._root: str | None = self._roots[0] if len(self._roots) == 1 else None
        self.topology = Topology.of(self.addresses[0], self.gateway_path) if self.gateway_path else None
        self.node_scheme: str | None = None
        if self.topology is not None and acted_for is not None:
            raise ConfigurationError(
                f"proxy_user={acted_for!r} has no effect behind the gateway {self.topology.url}, which says by itself "
                "who asks; leave it out and log in there as that user"
            )
        password = password or self.conf.password
        self._has_password = bool(password)
        if auth is None and not password and self.conf.is_secure:
            auth = KerberosAuth()
        # Kerberos daemons overlook the name; the web ports of some clusters with Kerberos go without it and need one.
        # A gateway says by itself who is asking.
        self._names_user = (auth is None or isinstance(auth, KerberosAuth)) and self.topology is None
        keep_cookies = auth is not None or self.topology is not None
        if auth is None and password:
            auth = PasswordAuth(self.caller, password, self.addresses, self.topology)
        if verify is None:
            trust = trust_of(self.conf, True if any(a.startswith("https:") for a in self.addresses) else None)
        self._transport = Transport(auth, trust if verify is None else verify, keep_cookies=keep_cookies)

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._managers.addresses

    @property
    def user(self) -> str:
        return self.acted_for or self.caller

    @property
    def active_address(self) -> str:
        """Base URL of the ResourceManager that last answered as the active one."""
        return self._managers.active

    @property
    def root(self) -> str:
        """Path of the REST interface, such as ``/ws/v1/``: where it was found, else where it is looked for first."""
        return self._root or self._roots[0]

    @property
    def auth(self) -> Any:
        """The ``requests`` authentication in use; what is set here applies to the following calls."""
        return self._transport.auth

    @auth.setter
    def auth(self, value: Any) -> None:
        self._transport.auth = value

    def get_json(self, path: str, params: Mapping[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
        """GET an object from the active ResourceManager.

        Args:
            path: below ``/ws/v1/``, such as ``"cluster/metrics"``; with a slash in front, from the root.
            params: query parameters; None values are left out.
            **kwargs: as for :meth:`request`.
        """
        return self.request("GET", path, params=params, **kwargs).json()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        ok: Collection[int] = (200,),
        timeout: float | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """Make a call to the active ResourceManager.

        Args:
            method: HTTP method.
            path: below ``/ws/v1/``; with a slash in front, from the root.
            params: query parameters.
            json: body of a POST or PUT.
            ok: the statuses that are no error (default 200).
            timeout: seconds for the whole call; default the session's.
            accept: media type wanted (default JSON).

        Raises:
            ClusterUnavailable: no ResourceManager answers, none is active, or what answers is none.
            AuthenticationFailed, PermissionDenied, ApplicationNotFound, ConfigurationError: as the cluster says.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)

        def given_up(state: tenacity.RetryCallState) -> bool:
            failure = state.outcome.exception() if state.outcome is not None else None
            if isinstance(failure, _Passing) and failure.takeover:
                # A last try that is cut short would say that nobody answers, in place of what is wrong.
                return time.monotonic() + state.upcoming_sleep + _SHORTEST_TRY >= deadline
            return time.monotonic() >= deadline or state.attempt_number >= _TRIES

        retrying = tenacity.Retrying(
            stop=given_up,
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=1.0),
            retry=tenacity.retry_if_exception_type(_Passing),
            reraise=True,
        )
        try:
            answer: Answer = retrying(self._ask_any, method, path, params, json, accept, deadline)
        except _Passing as e:
            raise e.error from e.error.__cause__
        if answer.status not in ok:
            raise self.error(answer)
        return answer

    def error(self, answer: Answer) -> KnitError:
        """The error that an answer with an unwanted status stands for."""
        refusal = self.topology.refusal(answer, self.caller, self._has_password) if self.topology else None
        return refusal or error_of(answer, self.user)

    def page_of(self, app_id: str) -> str:
        """URL of the ResourceManager's page about an application, for a browser."""
        return self.topology.page(app_id) if self.topology else f"{self.active_address}/cluster/app/{app_id}"

    def ask(self, address: str, path: str) -> Answer:
        """GET from one ResourceManager, active or not; redirects are given back, not followed."""
        try:
            answer = self._ask("GET", address, path, None, None, "application/json", self.timeout)
        except Unanswered as e:
            raise ClusterUnavailable(str(e)) from e
        if answer.status >= 400 or is_login_page(answer):
            raise self.error(answer)
        return answer

    def get_url(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        ok: Collection[int] = (200,),
        accept: str = "application/json",
        timeout: float | None = None,
    ) -> Answer:
        """GET from another daemon of the cluster, a NodeManager say; redirects are given back, not followed.

        Behind a gateway only what lies on that is asked.
        """
        self._check_place(url)
        try:
            answer = self._transport.exchange(
                "GET", url, timeout=timeout or self.timeout, params=self._params(params), headers={"Accept": accept}
            )
        except Unanswered as e:
            raise ClusterUnavailable(str(e)) from e
        if answer.status not in ok or is_login_page(answer):
            raise self.error(answer)
        return answer

    @contextmanager
    def stream_url(
        self, url: str, params: Mapping[str, Any] | None = None, *, accept: str = "*/*", timeout: float | None = None
    ) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
        """GET from another daemon without reading the body: gives the answer and an iterator over its pieces.

        Only the pause between two pieces is limited (to ``timeout``, by default the session's), not the whole.
        """
        self._check_place(url)
        headers = {"Accept": accept}
        try:
            with self._transport.stream(
                "GET", url, timeout=timeout or self.timeout, params=self._params(params), headers=headers
            ) as response:
                yield response, self._transport.chunks(response)
        except Unanswered as e:
            raise ClusterUnavailable(str(e)) from e

    def close(self) -> None:
        """Close the connections. The session stays usable."""
        self._transport.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Session user={self.user} {', '.join(self.addresses)}{self.gateway_path}>"

    # -- inside -------------------------------------------------------------------------------------------------

    def _ask_any(
        self, method: str, path: str, params: Mapping[str, Any] | None, json: Any, accept: str, deadline: float
    ) -> Answer:
        """Ask the ResourceManagers until one answers as the active."""
        todo = self._managers.in_order()
        problems: list[str] = []
        may_pass = failed = False
        while todo:
            address = todo.pop(0)
            left = max(deadline - time.monotonic(), 0.1)
            # With several to ask, one that hangs must leave time for the others.
            share = left if not todo else max(left / (len(todo) + 1), min(left, 2.0))
            try:
                answer = self._ask(method, address, path, params, json, accept, share)
            except Unanswered as e:
                if e.sent and method not in _REPEATABLE:
                    raise MayHaveTakenEffect(f"{e}. The request may have taken effect; look before repeating it") from e
                problems.append(str(e))
                may_pass |= e.may_pass
                continue
            if self.topology is not None and is_login_page(answer):
                raise self.error(answer)
            if is_standby(answer) or (
                is_redirect(answer) and self._managers.configured(answer.headers.get("Location"))
            ):
                problems.append(self._standby(answer, address, todo))
                may_pass = True
                continue
            if is_redirect(answer):
                problems.append(_misdirected(answer))
                continue
            if answer.status >= 500 and method in _REPEATABLE:
                problems.append(str(self.error(answer)))
                may_pass = failed = True
                continue
            if path not in _LOCAL:
                self._managers.remember(address)
            return answer
        error = ClusterUnavailable(self._no_manager(problems))
        if may_pass:
            raise _Passing(error, takeover=len(self.addresses) > 1 and not failed)
        raise error

    def _ask(
        self,
        method: str,
        address: str,
        path: str,
        params: Mapping[str, Any] | None,
        json: Any,
        accept: str,
        timeout: float,
    ) -> Answer:
        roots = [self._root] if self._root is not None else self._roots
        headers = {"Accept": accept}
        if self.topology is not None and path == "/conf":
            return self._conf_behind(self.topology, headers, timeout)
        if method not in ("GET", "HEAD"):
            # YARN's guard against cross-site requests wants this header to be there, with whatever value.
            headers[self.conf["yarn.resourcemanager.webapp.rest-csrf.custom-header"]] = "knit-provider"
        for root in roots:
            below = self.gateway_prefix(root) + path if path.startswith("/") else root + path
            answer = self._transport.exchange(
                method, address + below, timeout=timeout, params=self._params(params), headers=headers, json=json
            )
            # Knox maps its ".../resourcemanager" to "/ws" of the ResourceManager, other proxies to "/".
            if answer.status == 404 and answer.remote_exception() is None and root != roots[-1]:
                continue
            if not path.startswith("/") and answer.status == 200:
                self._root = root
            return answer
        raise AssertionError("there is always a root")

    def _conf_behind(self, topology: Topology, headers: Mapping[str, str], timeout: float) -> Answer:
        """The ResourceManager's configuration from whatever service of a topology shows it."""
        refused = None
        for below, query in CONF_PATHS:
            url = f"{topology.url}/{below}"
            answer = self._transport.exchange("GET", url, timeout=timeout, params=query, headers=headers)
            if answer.status == 200 and answer.body.lstrip()[:1] == b"{":
                return answer
            if answer.status in (401, 403) or is_login_page(answer) or answer.status >= 500:
                refused = answer
        if refused is not None:
            return refused
        raise topology.no_conf()

    def _check_place(self, url: str) -> None:
        if self.topology is not None and not self.topology.holds(url):
            raise self.topology.inside(url)

    def gateway_prefix(self, root: str = "") -> str:
        """The path in front of the ResourceManager's own root."""
        return SUFFIX.sub("", root or self.gateway_path)

    def _params(self, params: Mapping[str, Any] | None) -> dict[str, str]:
        sent = {key: str(value) for key, value in (params or {}).items() if value is not None}
        if self._names_user:
            sent["user.name"] = self.caller
        if self.acted_for is not None:
            sent["doAs"] = self.acted_for
        return sent

    def _standby(self, answer: Answer, address: str, todo: list[str]) -> str:
        location = answer.headers.get("Location")
        active = self._managers.configured(location)
        if active in todo:
            todo.remove(active)
            todo.insert(0, active)
        if location and active is None:
            host = _split(location).netloc or repr(location[:200])
            return (
                f"{address} is a standby and names {host} as the active one, which is not configured and so not "
                f"followed: add it to rm_addresses= or to yarn.resourcemanager.ha.rm-ids"
            )
        return f"{address} is a standby" + ("" if location else " and knows no active one")

    def _no_manager(self, problems: list[str]) -> str:
        problems = list(dict.fromkeys(problems))
        if len(self.addresses) > 1:
            return f"no active ResourceManager among {', '.join(self.addresses)}: {'; '.join(problems)}"
        if not self._explicit:
            return (
                f"nothing says where the ResourceManager is ({self.conf.search_description()}), and at the fallback "
                f"there is none: {problems[0]}. Give rm= and rm_port=, hadoop_conf_dir=, or set HADOOP_CONF_DIR"
            )
        return f"the ResourceManager is not available: {problems[0]}"


def _misdirected(answer: Answer) -> str:
    location = answer.headers.get("Location", "")
    here, there = urlsplit(answer.url), _split(location)
    if here.scheme == "https" and there.scheme == "http":
        return f"{answer.url} redirects to {there.netloc} without TLS; that is refused, and nothing was sent there"
    if there.hostname == here.hostname and there.scheme != here.scheme:
        return f"{answer.url} wants {there.scheme}: give scheme={there.scheme!r} and its port"
    return f"{answer.url} redirects to {location[:200]!r}, which is not followed; {NOT_YARN}"


def _split(location: str) -> SplitResult:
    """What a server names, taken apart; empty where that cannot be done."""
    try:
        return urlsplit(location)
    except ValueError:
        return urlsplit("")
