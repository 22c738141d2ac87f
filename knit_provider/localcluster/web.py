"""The few words it takes with the daemons' web ports to bring a cluster up. Always loopback, never by proxy."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode

from knit_provider.localcluster.ports import split_address


class NotReady(Exception):
    """The daemon does not answer yet, or not yet as it will."""


def get_json(address: str, path: str, timeout: float = 3.0) -> Any:
    """Asks a daemon.

    Args:
        address: ``host:port``.
        path: with its query.
        timeout: seconds.

    Raises:
        NotReady: no answer, or no JSON with status 200.
    """
    return _request("GET", address, path, timeout)


class WebHDFS:
    """The NameNode's REST interface, spoken as the daemons' own user."""

    def __init__(self, address: str, user: str) -> None:
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
        return _request(method, self._address, f"/webhdfs/v1{quote(path)}?{query}", 20.0)


def _request(method: str, address: str, path: str, timeout: float) -> Any:
    host, port = split_address(address, "a daemon's web address")
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise NotReady(f"HTTP {answer.status}: {body[:500].decode(errors='replace')}")
        return json.loads(body) if body else None
    except ConnectionRefusedError as error:
        raise NotReady("does not listen yet") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotReady(str(error)) from error
    finally:
        connection.close()
