"""Acting for somebody else: what a cluster says that does not allow it."""

from __future__ import annotations

import re

from knit_provider.yarn.errors import KnitError, PermissionDenied

_REFUSED = re.compile(r"User: (?P<real>\S+) is not allowed to impersonate (?P<user>[^\s,;\"<]+)")
_FROM_HERE = re.compile(r"Unauthorized connection for super-user: (?P<real>\S+) from IP \S+")


def way_out(words: str) -> str | None:
    """What to do about a daemon's refusal to let one user act for another; None where its words are about other things.

    Examples:
        >>> way_out("User: web/h@R is not allowed to impersonate bob")[:60]
        'web may act for others where hadoop.proxyuser.web.hosts and '
    """
    found = _REFUSED.search(words) or _FROM_HERE.search(words)
    if found is None:
        return None
    real = re.split("[/@]", found["real"])[0]
    return (
        f"{real} may act for others where hadoop.proxyuser.{real}.hosts and hadoop.proxyuser.{real}.users (or .groups) "
        "in the core-site.xml of the ResourceManager and the NameNodes say so"
    )


def with_way_out(error: KnitError) -> KnitError:
    """The error, or one that names the settings where it is such a refusal."""
    words = str(error)
    hint = way_out(words)
    return error if hint is None or "hadoop.proxyuser." in words else PermissionDenied(f"{words.rstrip('.')}. {hint}")
