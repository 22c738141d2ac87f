"""The few words it takes with the daemons' web ports to bring a cluster up. Always loopback, never by proxy."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from knit_provider.localcluster.ports import split_address
from knit_provider.localcluster.users import daemon_user


class NotReady(Exception):
    """The daemon does not answer yet, or not yet as it will."""


class Web:
    """The daemons' web ports.

    On a cluster with Kerberos it needs no ticket: this is who made the secret that the daemons sign their web
    sessions with, so it signs one for itself.
    """

    def __init__(self, signature_secret: Path | None = None, ca: Path | None = None) -> None:
        """Takes the file with that secret (``None`` where everybody may ask) and, with TLS, that of the CA."""
        self._secret = signature_secret
        self._ca = ca

    def get_json(self, address: str, path: str, timeout: float = 3.0) -> Any:
        """Asks a daemon.

        Args:
            address: ``host:port``.
            path: with its query.
            timeout: seconds.

        Raises:
            NotReady: no answer, or no JSON with status 200.
        """
        return self.request("GET", address, path, timeout)

    def request(self, method: str, address: str, path: str, timeout: float) -> Any:
        """Makes a request; see ``get_json``."""
        if self._secret is None:
            return self._request(method, address, path, timeout, {})
        try:
            secret = self._secret.read_bytes()
        except OSError as error:
            raise NotReady(f"the secret of its web sessions cannot be read: {error}") from error
        # Those that hand out delegation tokens call their sessions by another name.
        for kind in ("kerberos", "kerberos-dt"):
            try:
                return self._request(method, address, path, timeout, {"Cookie": _session_cookie(secret, kind)})
            except _Unauthorized as error:
                refusal = error
        raise refusal

    def _request(self, method: str, address: str, path: str, timeout: float, headers: Mapping[str, str]) -> Any:
        host, port = split_address(address, "a daemon's web address")
        if self._ca is None:
            return _answer(http.client.HTTPConnection(host, port, timeout=timeout), method, path, headers)
        try:
            context = ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            raise NotReady(f"the CA's certificate in {self._ca} cannot be read: {error}") from error
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        return _answer(connection, method, path, headers)


class _Unauthorized(NotReady):
    pass


def _session_cookie(secret: bytes, kind: str) -> str:
    user = daemon_user()
    content = f"u={user}&p={user}&t={kind}&e={int((time.time() + 300) * 1000)}"
    signature = base64.b64encode(hmac.digest(secret, content.encode(), hashlib.sha256)).decode()
    return f'hadoop.auth="{content}&s={signature}"'


class WebHDFS:
    """The NameNode's REST interface, spoken as the daemons' own user."""

    def __init__(self, web: Web, address: str, user: str) -> None:
        self._web = web
        self._address = address
        self._user = user

    def make(self, path: str, mode: str, owner: str | None = None) -> None:
        """Makes a folder with a mode (octal); with an owner, it and a group of the same name own it.

        Raises:
            NotReady: the NameNode refused.
        """
        self._call("PUT", path, "MKDIRS", permission=mode)
        # MKDIRS takes a umask off the mode.
        self._call("PUT", path, "SETPERMISSION", permission=mode)
        if owner is not None:
            self._call("PUT", path, "SETOWNER", owner=owner, group=owner)

    def children(self, path: str) -> list[dict[str, Any]]:
        """What is in a folder; nothing if there is no such folder."""
        try:
            answer = self._call("GET", path, "LISTSTATUS")
        except NotReady as error:
            if "FileNotFoundException" in str(error):
                return []
            raise
        found: list[dict[str, Any]] = answer["FileStatuses"]["FileStatus"]
        return found

    def _call(self, method: str, path: str, operation: str, **arguments: str) -> Any:
        query = urlencode({"op": operation, "user.name": self._user, **arguments})
        return self._web.request(method, self._address, f"/webhdfs/v1{quote(path)}?{query}", 20.0)


def _answer(connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str]) -> Any:
    try:
        connection.request(method, path, headers={"Accept": "application/json", **headers})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 401:
            raise _Unauthorized(f"HTTP 401: {body[:500].decode(errors='replace')}")
        if answer.status != 200:
            raise NotReady(f"HTTP {answer.status}: {body[:500].decode(errors='replace')}")
        return json.loads(body) if body else None
    except ConnectionRefusedError as error:
        raise NotReady("does not listen yet") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotReady(str(error)) from error
    finally:
        connection.close()
