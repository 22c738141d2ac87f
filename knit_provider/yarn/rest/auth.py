"""Authentication that goes beyond a user's name: SPNEGO, which is Kerberos over HTTP."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from knit_provider.yarn.errors import AuthenticationFailed
from knit_provider.yarn.kerberos import KerberosLogin, import_gssapi

_SPNEGO = "1.3.6.1.5.5.2"
_CHALLENGE = re.compile(r"Negotiate(?:\s+([A-Za-z0-9+/=]+))?", re.IGNORECASE)


class KerberosAuth(AuthBase):
    """A ``requests`` authentication object that answers a daemon's challenge with a Kerberos ticket.

    The ticket is looked for at the first challenge, each time anew: a ticket that was renewed counts at once. What a
    daemon knows us by afterwards is its cookie. It keeps no state, so threads can share it.

    Args:
        login: where the tickets come from; default the environment's credential cache.
    """

    def __init__(self, login: KerberosLogin | None = None) -> None:
        self.login = login or KerberosLogin()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Has the answer to the request looked at. Called by ``requests``."""
        request.register_hook("response", self._answered)  # type: ignore[no-untyped-call]
        return request

    def _answered(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        request = response.request
        if response.status_code != 401 or "Authorization" in request.headers or _challenge(response) is None:
            return response
        context, token = self._begin(urlsplit(response.url).hostname or "")
        rewind = getattr(request.body, "rewind", None)
        if rewind is not None:
            rewind()
        # Read to its end, so that the connection serves again.
        _ = response.content
        response.close()
        request.headers["Authorization"] = f"Negotiate {base64.b64encode(token).decode()}"
        try:
            # The hook is not called for this one, which requests sends as an adapter, not as a session.
            again: requests.Response = response.connection.send(request, **kwargs)
        finally:
            del request.headers["Authorization"]
        again.history.append(response)
        again.request = request
        self._check_server(again, context)
        return again

    def _begin(self, host: str) -> tuple[Any, bytes]:
        credentials = self.login.credentials()
        gssapi = import_gssapi()
        try:
            context = self._context(gssapi, host, credentials, gssapi.OID.from_int_seq(_SPNEGO))
            return context, bytes(context.step() or b"")
        except gssapi.exceptions.GSSError as error:
            raise AuthenticationFailed(
                self.login.describe(self._plainer(gssapi, host, credentials, error), host)
            ) from error

    def _plainer(self, gssapi: Any, host: str, credentials: Any, error: Any) -> Any:
        """The error that Kerberos itself has, where SPNEGO shows one with a number of its own."""
        try:
            self._context(gssapi, host, credentials, gssapi.MechType.kerberos).step()
        except gssapi.exceptions.GSSError as inner:
            return inner
        return error

    @staticmethod
    def _context(gssapi: Any, host: str, credentials: Any, mechanism: Any) -> Any:
        name = gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service)
        flags = [gssapi.RequirementFlag.mutual_authentication]
        return gssapi.SecurityContext(name=name, creds=credentials, mech=mechanism, usage="initiate", flags=flags)

    @staticmethod
    def _check_server(response: requests.Response, context: Any) -> None:
        """Hadoop proves itself on success, but never on an error page, and not with every redirect.

        Raises:
            AuthenticationFailed: it does not, or proves to be somebody else.
        """
        place = response.url.partition("?")[0]
        token = _challenge(response)
        if not token:
            if response.status_code < 300:
                raise AuthenticationFailed(
                    f"{place} took the Kerberos ticket and did not prove that it is who it says it is, as Hadoop does: "
                    "either it is somebody else, or something in between removes WWW-Authenticate from its answers"
                )
            return
        if response.status_code >= 400:
            return
        try:
            context.step(token)
            # With an answer to send, an error is kept for the next look at the context.
            proven = bool(context.complete)
        except import_gssapi().exceptions.GSSError as error:
            raise AuthenticationFailed(f"{place} is not who it says it is: {error}") from error
        if not proven:
            raise AuthenticationFailed(f"{place} is not who it says it is: its proof is none")


class TokenAuth(AuthBase):
    """A ``requests`` authentication object with a delegation token of the ResourceManager's, for nobody else's eyes.

    Args:
        token: gives it in its URL-safe form; called for every request, since it may be replaced by a fresh one.
        addresses: base URLs of the ResourceManagers.
    """

    def __init__(self, token: Callable[[], str], addresses: Iterable[str]) -> None:
        self._token = token
        self._places = {urlsplit(address)[:2] for address in addresses}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the token. Called by ``requests``."""
        if urlsplit(request.url or "")[:2] in self._places:
            request.headers["X-Hadoop-Delegation-Token"] = self._token()
        return request


def _challenge(response: requests.Response) -> bytes | None:
    """The token behind ``Negotiate``, empty where there is none; None where the daemon does not negotiate."""
    found = _CHALLENGE.search(response.headers.get("WWW-Authenticate", ""))
    if found is None:
        return None
    try:
        return base64.b64decode(found[1] or "")
    except binascii.Error:
        return b""


def kerberos_auth(login: KerberosLogin | None = None) -> KerberosAuth:
    """SPNEGO with these tickets, by default with those of the environment's credential cache.

    Raises:
        ConfigurationError: if the library that does it is missing.
    """
    import_gssapi()
    return KerberosAuth(login)
