"""Addresses as Hadoop writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knit_provider.yarn.errors import ConfigurationError

WILDCARDS = ("0.0.0.0", "::", "*", "")  # noqa: S104 -- recognised in order not to be used

# Not urlsplit: it folds the host to lower case, and names of HDFS nameservices are case-sensitive.
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\s:/@?#,$]*))(?::(?P<port>\d{1,6}))?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A host and a port. A wildcard host is where a daemon listens, not where it can be reached."""

    host: str
    port: int | None = None

    @property
    def reachable(self) -> bool:
        return self.host not in WILDCARDS

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_address(text: str, what: str, default_port: int | None = None) -> Address:
    """Read ``host``, ``host:port``, ``[ipv6]:port`` or a URL of them.

    Raises:
        ConfigurationError: naming ``what`` (a property or parameter) if it is none of these.
    """
    authority = text.strip().partition("://")[2] or text.strip()
    match = _AUTHORITY.fullmatch(authority.split("/", 1)[0])
    if match is None or not any(match.groups()):
        raise ConfigurationError(f"{what}={text!r} is not an address; give host:port")
    port = int(match["port"]) if match["port"] else default_port
    if port is not None and port > 65535:
        raise ConfigurationError(f"{what}={text!r} has the port {port}; ports end at 65535")
    return Address(match["ipv6"] or match["host"] or "", port)
