"""A user and password over HTTP: sent only where they belong, and again when a gateway's session is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.cookies import extract_cookies_to_jar

from knit_provider.yarn.rest.answers import Answer
from knit_provider.yarn.rest.knox import Topology, is_login_page


class PasswordAuth(HTTPBasicAuth):
    """HTTP Basic authentication as a ``requests`` authentication object. It keeps no state, so threads can share it.

    The password goes to the given addresses, and to the other daemons of their cluster; never over plain HTTP where
    those have TLS. Behind a gateway it goes to that alone. A gateway's cookies spare it the look-up of a password; once
    they have expired, they are left out and the password counts again.

    Args:
        user: who.
        password: theirs.
        addresses: base URLs of the ResourceManagers or of the gateway.
        topology: of the gateway, where there is one.
    """

    def __init__(self, user: str, password: str, addresses: Iterable[str], topology: Topology | None = None) -> None:
        super().__init__(user, password)
        self._secure = any(address.startswith("https:") for address in addresses)
        self._topology = topology

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the password where it may go. Called by ``requests``."""
        if self._may_go_to(request.url or ""):
            super().__call__(request)  # type: ignore[no-untyped-call]
            if self._topology is not None:
                request.register_hook("response", self._answered)  # type: ignore[no-untyped-call]
        return request

    def _may_go_to(self, url: str) -> bool:
        if self._topology is not None:
            return self._topology.holds(url)
        return not self._secure or urlsplit(url).scheme == "https"

    def _answered(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        """A session that is over is begun anew, once."""
        request = response.request
        to_login = is_login_page(Answer("", "", response.status_code, response.headers, b""))
        if not to_login and (response.status_code != 401 or "Cookie" not in request.headers):
            return response
        again = request.copy()
        # What is over, and would be sent again.
        again.headers.pop("Cookie", None)
        passed = [response]
        if to_login:
            ticket = self._log_in(response, **kwargs)
            if ticket is None:
                return response
            passed.append(ticket)
            jar = requests.cookies.RequestsCookieJar()
            extract_cookies_to_jar(jar, ticket.request, ticket.raw)  # type: ignore[no-untyped-call]
            again.prepare_cookies(jar)
        rewind = getattr(again.body, "rewind", None)
        if rewind is not None:
            rewind()
        # Read to their ends, so that the connections serve again.
        for one in passed:
            _ = one.content
            one.close()
        # The hook is not called for this one, which requests sends as an adapter, not as a session.
        final: requests.Response = response.connection.send(again, **kwargs)
        final.history += passed
        final.request = again
        return final

    def _log_in(self, response: requests.Response, **kwargs: Any) -> requests.Response | None:
        """Asks the gateway's own login service, which takes a password too, for the cookie that it wants."""
        target = urljoin(response.url, response.headers["Location"])
        if not self._may_go_to(target):
            return None
        request = requests.Request("GET", target).prepare()
        HTTPBasicAuth.__call__(self, request)  # type: ignore[no-untyped-call]
        ticket: requests.Response = response.connection.send(request, **{**kwargs, "stream": True})
        ticket.request = request
        return ticket if ticket.status_code < 400 and ticket.headers.get("Set-Cookie") else None
