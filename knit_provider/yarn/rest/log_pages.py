"""What an old NodeManager shows of a container's logs to a browser, where it has no list of them for programs.

The list in JSON came with Hadoop 2.9 and 3.0; the page is older, and newer NodeManagers have it too.
"""

from __future__ import annotations

import html
import re

_PAGE = "containerlogs"
_FILE = re.compile(
    r"<a\b[^>]*href=[\"'][^\"']*/containerlogs/(?P<container>[^/\"']+)/[^>]*>\s*"
    r"(?P<name>[^<]+?) : Total file length is (?P<length>\d{1,18}) bytes",
    re.IGNORECASE,
)


def page_path(container_id: str, owner: str) -> str:
    """Where the page is, from the NodeManager's root."""
    return f"/node/{_PAGE}/{container_id}/{owner}"


def files_on_page(text: str, container_id: str) -> list[tuple[str, int]] | None:
    """Names and lengths in bytes of the log files on the page; None where it is no such page.

    Args:
        text: the page's HTML.
        container_id: whose page it is.
    """
    found = [
        (html.unescape(match["name"]).strip(), int(match["length"]))
        for match in _FILE.finditer(text)
        if match["container"] == container_id
    ]
    # Of a container without a file yet it says so, in words that name it.
    return found if found or container_id in text else None
