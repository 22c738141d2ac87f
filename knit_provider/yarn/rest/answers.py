"""What a daemon answered, and what that means: one place that turns answers into this product's errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from knit_provider.yarn.errors import (
    ApplicationNotFound,
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.proxy_user import way_out
from knit_provider.yarn.rest.shapes import app_of_container
from knit_provider.yarn.rights import may_not_modify, may_not_view

LARGEST_ANSWER = 128 * 2**20
"""Bytes. A ResourceManager with 10,000 applications and as many nodes stays below 50 MB."""

_APP_PATH = re.compile(r"/cluster/apps/(application_[^/?]*)")
_CONTAINER_PATH = re.compile(r"/(container_(?:e\d+_)?\d+_\d+_\d+_\d+)(?=[/?]|$)")
_NO_LOGS = re.compile(r"User \[([^\]]+)\] is not authorized to view the logs for application (application_\d+_\d+)")
_FIRST_WORDS = 120


@dataclass(frozen=True)
class Answer:
    """An HTTP answer that was read to its end."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> dict[str, Any]:
        """The JSON object of the answer.

        Raises:
            ClusterUnavailable: if it is none; the message shows how the answer begins.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ClusterUnavailable(f"{self.url} answered {self.shown()} where JSON was due; {NOT_YARN}")
        return value

    def remote_exception(self) -> dict[str, str] | None:
        """Hadoop's description of what went wrong, or None where the answer holds none."""
        try:
            value = json.loads(self.body)
            found = value["RemoteException"]
            return {key: str(found.get(key, "")) for key in ("exception", "message", "javaClassName")}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def shown(self) -> str:
        """Status, type and first words, for messages."""
        kind = self.headers.get("Content-Type", "").split(";")[0].strip()
        return f"{self.status}{f' {kind}' if kind else ''} {first_words(self.text)!r}"


NOT_YARN = "is this the web port of a ResourceManager (8088 by default), and is the path of a gateway in front set?"


def first_words(text: str) -> str:
    """The beginning of a text on one line; of HTML, what a reader would see."""
    if "<" in text[:500] and re.search(r"<(html|body|!doctype)", text[:2000], re.IGNORECASE):
        text = re.sub(r"(?is)<(script|style|head).*?</\1>|<[^>]*>", " ", text[:20000])
    words = " ".join(text[:5000].split())
    return words if len(words) <= _FIRST_WORDS else words[: _FIRST_WORDS - 3] + "..."


def refused_logs(answer: Answer) -> re.Match[str] | None:
    """Whose view of a container's logs a NodeManager refuses (1), and of which application (2)."""
    return _NO_LOGS.search(answer.text[:2000])


def error_of(answer: Answer, user: str) -> KnitError:
    """The error that an answer with an unwanted status stands for."""
    remote = answer.remote_exception()
    words = plain(remote["message"]) if remote and remote["message"] else answer.shown()
    asked = f"{answer.method} {answer.url}"
    if answer.status == 401:
        return AuthenticationFailed(_unauthenticated(answer, user, words))
    if answer.status == 403 and "GSSException" in answer.text:
        # So Hadoop's filter says that a ticket came and cannot be used.
        return AuthenticationFailed(
            f"{answer.url} does not accept the Kerberos ticket of {user} ({first_words(_reason(answer))}). Clocks that "
            "differ and a keytab of the daemon's that is out of date are the usual causes"
        )
    refused = refused_logs(answer)
    if refused is not None:
        # NodeManagers of Hadoop 3 say it with 500.
        return PermissionDenied(f"{asked} was refused: {words}. {may_not_view(refused[1], refused[2])}")
    if answer.status == 403:
        hint = way_out(words) or _missing_right(answer, user)
        return PermissionDenied(f"user {user} may not do this ({asked}): {words}{f'. {hint}' if hint else ''}")
    app = _APP_PATH.search(answer.url)
    if answer.status == 404 and remote is not None and app is not None:
        return ApplicationNotFound(
            f"the ResourceManager does not know {app[1]} ({words}). It forgets finished applications, so this does not "
            "mean that it failed; check the id, and the cluster"
        )
    if answer.status == 404 and remote is None:
        return ClusterUnavailable(f"{asked} answered {answer.shown()}; {NOT_YARN}")
    if answer.status >= 500 or answer.status < 400:
        return ClusterUnavailable(f"{asked} failed with {answer.status}: {words}")
    return ConfigurationError(f"{asked} was refused with {answer.status}: {words}")


def _missing_right(answer: Answer, user: str) -> str | None:
    """Who may give the right that YARN's ACLs want for what was asked, where it was about one application."""
    app = _APP_PATH.search(answer.url)
    container = None if app else _CONTAINER_PATH.search(answer.url)
    if app is None and container is None:
        return None
    app_id = app[1] if app else app_of_container(container[1] if container else "")[0]
    return (may_not_view if answer.method == "GET" else may_not_modify)(user, app_id)


def _unauthenticated(answer: Answer, user: str, words: str) -> str:
    scheme = answer.headers.get("WWW-Authenticate", "").split(" ")[0].lower()
    way_out = {
        "negotiate": "it wants Kerberos: run kinit, or give principal= and keytab=; the client's configuration has to "
        "say hadoop.security.authentication=kerberos",
        "basic": "it wants a password: give password=, and user= where it is not this one",
    }.get(scheme, "give password= if it wants one, or a user that it knows")
    return f"{answer.url} does not accept user {user} ({answer.status}: {words}); {way_out}"


def _reason(answer: Answer) -> str:
    found = re.search(r"GSSException:[^<]*", answer.text)
    return found[0].strip() if found else answer.text


def plain(message: str) -> str:
    """A daemon's words without the class of its exception."""
    # Hadoop 3.3 puts the class in front: "java.lang.Exception: app with id ..."
    return re.sub(r"^(?:[a-z]\w*\.)+[A-Z]\w*: ", "", message)
