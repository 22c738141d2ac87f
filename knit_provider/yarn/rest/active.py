"""Which of several ResourceManagers is the active one, and how a standby shows itself."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from knit_provider.yarn.rest.answers import Answer
from knit_provider.yarn.rest.transport import is_loopback

_STANDBY_WORDS = re.compile(rb"standby RM|no active RM|not find any active RM|is in standby state", re.IGNORECASE)


class ResourceManagers:
    """The configured base URLs, the one that last answered as the active first."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses: tuple[str, ...] = tuple(dict.fromkeys(address.rstrip("/") for address in addresses))
        self._active = self.addresses[0]
        self._lock = threading.Lock()

    @property
    def active(self) -> str:
        with self._lock:
            return self._active

    def remember(self, address: str) -> None:
        """Ask this one first from now on."""
        with self._lock:
            self._active = address

    def in_order(self) -> list[str]:
        """All of them, the most promising first."""
        active = self.active
        return [active, *(address for address in self.addresses if address != active)]

    def configured(self, location: str | None) -> str | None:
        """The configured base URL that a ``Location`` points into; None for any other place."""
        wanted = _place(location or "")
        return next((address for address in self.addresses if wanted and _place(address) == wanted), None)


def _place(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    # Daemons on one machine name each other "localhost", whatever address they are configured with.
    return (parts.scheme, "localhost" if is_loopback(host) else host, port) if host else None


def is_redirect(answer: Answer) -> bool:
    return answer.status in (301, 302, 303, 307, 308)


def is_standby(answer: Answer) -> bool:
    """Whether a ResourceManager said that it is not the active one.

    That comes as a redirect to the active one, as a redirect to nowhere (``Refresh`` in place of ``Location``, while
    none is active), or as 200 with plain text.
    """
    if is_redirect(answer):
        return (
            "Refresh" in answer.headers or "Location" not in answer.headers or bool(_STANDBY_WORDS.search(answer.body))
        )
    kind = answer.headers.get("Content-Type", "").lower()
    return answer.status == 200 and "json" not in kind and bool(_STANDBY_WORDS.search(answer.body[:2000]))
