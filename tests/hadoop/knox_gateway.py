"""A reverse proxy that does what Apache Knox does, as a process of its own: HTTPS, a login, and Knox's rewriting.

Its paths and rewritings are those of Knox's service definitions: ``yarn-rm`` 2.5.0 (which blanks the addresses of nodes
and scrambles their ids), ``yarnui`` 2.7.0, ``yarnuiv2`` 3.0.0 (through which NodeManagers are asked, by ``scheme``,
``host`` and ``port`` in the query) and ``webhdfs`` 2.4.0 (redirects to DataNodes come back as opaque URLs of its own).
Who asks is what the login says; a name in the query is thrown away. In front of a cluster with Kerberos it logs in
there with a keytab of its own, and acts for whoever asks (``doAs``). A topology is one of

- ``default``: a password or a session's cookie; all services
- ``seeds``: the same, with the ResourceManager at ``resourcemanager/ws/v1``
- ``bare``: the same, with nothing but the ResourceManager
- ``sso``: a cookie of ``knoxsso`` only, which itself takes a password
- ``closed``: lets nobody do anything
- ``httpfs``: as ``default``, with HttpFS in place of the NameNode, where there is one
- ``broken``: its services are away

``python -m tests.hadoop.knox_gateway`` takes its settings as a line of JSON on standard input, prints its port, and
ends when its input does. ``/test`` tells what was asked of it, ``/test/expire`` ends all sessions.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import sys
import threading
from collections.abc import Callable
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import requests

from knit_provider.yarn.kerberos import KerberosLogin
from knit_provider.yarn.rest.auth import KerberosAuth

_IDENTITY = ("user.name", "doas")
_SERVICES = {"bare": ("resourcemanager",)}
_ALL = ("resourcemanager", "yarn", "yarnuiv2", "webhdfs")


class State:
    """What the whole process shares."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.rm: str = settings["rm"]
        self.namenode: str = settings["namenode"]
        self.httpfs: str = settings.get("httpfs", "")
        self.users: dict[str, str] = settings["users"]
        keytab = settings.get("keytab")
        self.login = KerberosAuth(KerberosLogin(settings["principal"], keytab)) if keytab else None
        self.sessions: dict[str, str] = {}
        self.logins = 0
        self.requests: list[str] = []
        self.hidden: dict[str, str] = {}
        self.lock = threading.Lock()


class Knox(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    state: State

    def do_GET(self) -> None:
        self._serve()

    do_PUT = do_POST = do_DELETE = do_GET

    def log_message(self, *args: Any) -> None:
        """Not onto stderr."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")
        if words[0] == "test":
            return self._tell(words[1:])
        with self.state.lock:
            self.state.requests.append(f"{self.command} {self.path}")
        if words[0] != "gateway" or len(words) < 3:
            return self._page(404)
        if words[1] == "knoxsso":
            return self._sso()
        topology, service, rest = words[1], words[2], "/".join(words[3:])
        user = self._user(topology)
        if user is None:
            return None
        if topology == "closed":
            return self._page(403)
        if service not in _SERVICES.get(topology, _ALL):
            return self._page(404)
        query = [pair for pair in parse_qsl(parts.query, True) if pair[0].lower() not in _IDENTITY]
        query.append(("user.name" if self.state.login is None else "doAs", user))
        return getattr(self, f"_to_{service}")(topology, rest, query, body)

    # -- who ----------------------------------------------------------------------------------------------------

    def _user(self, topology: str) -> str | None:
        """Who asks; None where the answer has been given."""
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("hadoop-jwt")
        if cookie is not None:
            if cookie.value in self.state.sessions:
                return self.state.sessions[cookie.value]
            self._refuse(topology)
            return None
        user = None if topology == "sso" else self._by_password()
        if user is None:
            self._refuse(topology)
            return None
        self._cookie = self._new_session(user)
        return user

    def _by_password(self) -> str | None:
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return None
        with self.state.lock:
            self.state.logins += 1
        user, _, password = base64.b64decode(text).decode().partition(":")
        return user if self.state.users.get(user) == password else None

    def _new_session(self, user: str) -> str:
        token = secrets.token_urlsafe(24)
        with self.state.lock:
            self.state.sessions[token] = user
        return f"hadoop-jwt={token}; Path=/; Secure; HttpOnly"

    def _refuse(self, topology: str) -> None:
        if topology == "sso":
            here = quote(f"https://{self.headers['Host']}{self.path}", safe="")
            self._send(302, "text/html", b"", Location=f"/gateway/knoxsso/api/v1/websso?originalUrl={here}")
        else:
            self._send(401, "text/html", b"", WWW_Authenticate='BASIC realm="application"')

    def _sso(self) -> None:
        user = self._by_password()
        if user is None:
            return self._send(401, "text/html", b"", WWW_Authenticate='BASIC realm="application"')
        self._cookie = self._new_session(user)
        back = dict(parse_qsl(urlsplit(self.path).query))["originalUrl"]
        return self._send(303, "text/html", b"", Location=back)

    # -- the services -------------------------------------------------------------------------------------------

    def _to_resourcemanager(self, topology: str, rest: str, query: list[tuple[str, str]], body: bytes) -> None:
        path = rest.removeprefix("ws/") if topology == "seeds" else rest
        if not path.startswith("v1/") or (topology == "seeds") != rest.startswith("ws/"):
            return self._page(404)
        if topology == "broken":
            return self._page(502)
        return self._forward(f"{self.state.rm}/ws/{path}", query, body, lambda found: _blanked(found, path))

    def _to_yarn(self, topology: str, rest: str, query: list[tuple[str, str]], body: bytes) -> None:
        if rest == "conf" and len(query) == 1:
            return self._forward(f"{self.state.rm}/conf", query, body)
        if rest.startswith("cluster"):
            return self._forward(f"{self.state.rm}/{rest}", query, body)
        if rest.startswith("nodemanager/node"):
            return self._to_node(rest.removeprefix("nodemanager/"), query, body)
        return self._page(404)

    def _to_yarnuiv2(self, topology: str, rest: str, query: list[tuple[str, str]], body: bytes) -> None:
        if rest.startswith("nodemanager/"):
            return self._to_node(f"ws/v1/node/{rest.removeprefix('nodemanager/')}", query, body)
        # Without a query it takes a path for a part of the page.
        return self._forward(f"{self.state.rm}/{rest if len(query) > 1 else f'ui2/{rest}'}", query, body)

    def _to_node(self, path: str, query: list[tuple[str, str]], body: bytes) -> None:
        named = dict(query)
        if not {"scheme", "host", "port"} <= set(named):
            return self._page(404)
        rest = [pair for pair in query if pair[0] not in ("scheme", "host", "port")]
        return self._forward(f"{named['scheme']}://{named['host']}:{named['port']}/{path}", rest, body)

    def _to_webhdfs(self, topology: str, rest: str, query: list[tuple[str, str]], body: bytes) -> None:
        if rest.startswith("data/"):
            hidden = self.state.hidden.get(dict(query).get("_", ""))
            return self._page(404) if hidden is None else self._forward(hidden, [], body)
        if not rest.startswith("v1"):
            return self._page(404)
        place = self.state.httpfs if topology == "httpfs" else self.state.namenode
        return self._forward(f"{place}/webhdfs/{rest}", query, body, topology=topology)

    # -- passing on ---------------------------------------------------------------------------------------------

    def _forward(
        self,
        url: str,
        query: list[tuple[str, str]],
        body: bytes,
        rewrite: Callable[[Any], None] | None = None,
        topology: str = "",
    ) -> None:
        headers = {key: value for key, value in self.headers.items() if key in ("Accept", "Content-Type")}
        headers["X-XSRF-Header"] = "knox"
        full = f"{url}{'&' if '?' in url else '?'}{urlencode(query)}" if query else url
        try:
            with requests.Session() as http:
                http.trust_env = False
                http.auth = self.state.login
                answer = http.request(self.command, full, data=body, headers=headers, timeout=30, allow_redirects=False)
        except requests.RequestException:
            return self._page(500)
        content, kind = answer.content, answer.headers.get("Content-Type", "")
        if rewrite is not None and content and "json" in kind and answer.status_code < 300:
            found = json.loads(content)
            rewrite(found)
            content = json.dumps(found).encode()
        further = {}
        if "Location" in answer.headers:
            further["Location"] = self._hide(answer.headers["Location"], topology)
        return self._send(answer.status_code, kind, content, **further)

    def _hide(self, location: str, topology: str) -> str:
        if not topology or urlsplit(location).scheme not in ("http", "https"):
            return location
        token = secrets.token_urlsafe(24)
        with self.state.lock:
            self.state.hidden[token] = location
        path = urlsplit(location).path
        return f"https://{self.headers['Host']}/gateway/{topology}/webhdfs/data/v1{quote(unquote(path))}?_={token}"

    def _page(self, status: int) -> None:
        self._send(status, "text/html", f"<html><body><h2>HTTP ERROR {status}</h2></body></html>".encode())

    def _send(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if getattr(self, "_cookie", None):
            self.send_header("Set-Cookie", self._cookie)
            del self._cookie
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _tell(self, words: list[str]) -> None:
        state = self.state
        with state.lock:
            if words == ["expire"]:
                state.sessions.clear()
            told = {"logins": state.logins, "requests": list(state.requests)}
            state.logins, state.requests = 0, []
        self._send(200, "application/json", json.dumps(told).encode())


def _blanked(found: Any, path: str) -> None:
    """What ``yarn-rm`` takes out of the ResourceManager's answers."""
    words = path.strip("/").split("/")[1:]
    if words[:2] == ["cluster", "apps"] and len(words) <= 3:
        apps = (found.get("apps") or {}).get("app") or [found.get("app") or {}]
        for app in apps:
            app.update({key: "" for key in ("trackingUrl", "amContainerLogs", "amHostHttpAddress") if key in app})
    if words[-1:] == ["appattempts"]:
        for attempt in (found.get("appAttempts") or {}).get("appAttempt") or []:
            attempt.update({key: "" for key in ("nodeHttpAddress", "logsLink") if key in attempt})
            attempt["nodeId"] = base64.urlsafe_b64encode(attempt.get("nodeId", "").encode()).decode()
    if words[-1:] == ["nodes"]:
        for node in (found.get("nodes") or {}).get("node") or []:
            node.update({"nodeHTTPAddress": "", "nodeHostName": ""})
            node["id"] = base64.urlsafe_b64encode(node.get("id", "").encode()).decode()


def main() -> None:
    """Serves until standard input ends."""
    settings = json.loads(sys.stdin.readline())
    handler = type("Handler", (Knox,), {"state": State(settings)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings["certificate"])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
