"""Applications that outlive their delegation tokens: those with a keytab get new ones, the others are refused."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.submission.am_launch import JAR, LAUNCHER

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.base import Collected, LocalResource
    from knit_provider.yarn.connection import Connection

KEYTAB = "knit.keytab"
"""Name of the keytab, in staging and in the ApplicationMaster's container, the only one that has it."""

TOKENS_FILE = "tokens"
"""Name of the file in staging in which the ApplicationMaster keeps the newest tokens for its containers."""

TOKENS_SCRIPT = "knit-tokens.sh"
"""Name of what fetches them in a container."""

FETCHER = b"""\
#!/bin/bash
# Keeps the delegation tokens in this container's token file new: its program runs for a moment when newer ones are due.
# Takes the process to end with, and the file that the ApplicationMaster keeps.
after=${KNIT_TOKENS_AFTER:-60}
retry=$((after / 4 < 2 ? 2 : after / 4 > 600 ? 600 : after / 4))
exec {never}<> <(:)
while :; do
  until=$((SECONDS + after))
  while [ "$SECONDS" -lt "$until" ]; do
    kill -0 "$1" 2>/dev/null || exit 0
    read -r -t 1 -u "$never"
  done
  said=$(KNIT_AM_HEAP_MB=48 exec /bin/bash ./knit-am.sh io.knitprovider.am.tokens.TokenFetch "$2" \\
    "$HADOOP_TOKEN_FILE_LOCATION") || said=$retry
  case $said in '' | *[!0-9]*) after=$retry ;; *) after=$said ;; esac
done
"""


@dataclass(frozen=True)
class ShippedKeytab:
    """What the ApplicationMaster gets new tokens with.

    Attributes:
        principal: whose key it is.
        content: the keytab, with the keys of no other principal as far as they can be told apart.
    """

    principal: str
    content: bytes = field(repr=False)

    def described(self, filesystems: Iterable[str]) -> dict[str, Any]:
        """What the ApplicationMaster is told of it."""
        roots = {"{}://{}".format(*urlsplit(uri)[:2]) for uri in filesystems}
        return {"principal": self.principal, "file": KEYTAB, "filesystems": sorted(roots)}


def keytab_for(connection: Connection, lifetime: int | None, tokens: Collected | None) -> ShippedKeytab | None:
    """The keytab that has to go with an application; None where its tokens last as long as it may live.

    Args:
        connection: the cluster, as the user who submits.
        lifetime: of the application, in seconds; None is no limit.
        tokens: what it is submitted with.

    Raises:
        ConfigurationError: it may live longer than its tokens, and there is no keytab to get new ones with.
    """
    life = tokens.life if tokens is not None else None
    if life is None or (lifetime is not None and lifetime <= life):
        return None
    login = connection.login
    if login.keytab is not None and login.principal is not None and connection.proxy_user is None:
        try:
            content = Path(login.keytab).read_bytes()
        except OSError as e:
            raise ConfigurationError(f"keytab={login.keytab!r} cannot be read: {e.strerror}") from e
        return ShippedKeytab(login.principal, keys_of(content, login.principal))
    wanted = "has no limit to its lifetime" if lifetime is None else f"may live for {_duration(lifetime)}"
    keytab = (
        f"a keytab is not used for proxy_user={connection.proxy_user!r}, since it would make the application "
        f"{login.principal or 'the login'} itself; let {connection.user} submit with a keytab of their own"
        if connection.proxy_user is not None
        else "submit with principal= and keytab=, with which the ApplicationMaster gets new ones"
    )
    if connection.proxy_user is None and connection.conf.password:
        keytab += f" (of {connection.user}, beside the password; no KDC has to be reachable from here)"
    raise ConfigurationError(
        f"the application {wanted}, and its delegation tokens end after {_duration(int(life))} (the cluster's "
        "dfs.namenode.delegation.token.max-lifetime, or that of its key servers): it would go on without access to its "
        f"files. Nothing was submitted, and checks=False changes nothing about it. Give lifetime={int(life)} or less; "
        f"or {keytab}"
    )


def with_fetcher(script: bytes, staging: str) -> bytes:
    """A container's script that first starts what fetches new tokens.

    That is nobody's child, so that a ``wait`` of the user's does not wait for it, and ends with the script's process.

    Args:
        script: as :func:`~knit_provider.yarn.submission.scripts.service_script` makes it.
        staging: the application's folder, a full URI.
    """
    head, _, rest = script.partition(b"\n")
    source = shlex.quote(f"{staging}/{TOKENS_FILE}")
    start = (
        'if [ -n "${HADOOP_TOKEN_FILE_LOCATION-}" ]; then\n'
        f"  (/bin/bash ./{TOKENS_SCRIPT} $$ {source} </dev/null >/dev/null 2>>"
        '"${KNIT_RESULT%/*}/knit-tokens.log" &)\n'
        "fi\n"
    )
    return head + b"\n" + start.encode("utf-8", "surrogateescape") + rest


def fetcher_files(
    package: Mapping[str, LocalResource], staged: Mapping[str, LocalResource]
) -> dict[str, LocalResource]:
    """What a container needs to fetch tokens; nothing where the application has no keytab."""
    if TOKENS_SCRIPT not in staged:
        return {}
    return {JAR: package[JAR], LAUNCHER: package[LAUNCHER], TOKENS_SCRIPT: staged[TOKENS_SCRIPT]}


def _duration(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % size == 0 and seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def keys_of(keytab: bytes, principal: str) -> bytes:
    """The keytab with the keys of one principal only; all of it where there are none under just this name."""
    wanted, _, realm = principal.rpartition("@") if "@" in principal else (principal, "", "")
    kept = [entry for name, entry in _entries(keytab) if name[0] == wanted and (not realm or name[1] == realm)]
    return keytab[:2] + b"".join(struct.pack(">i", len(entry)) + entry for entry in kept) if kept else keytab


def _entries(keytab: bytes) -> list[tuple[tuple[str, str], bytes]]:
    """Name and realm of each key, and the key; none for a format that is not the usual one."""
    if keytab[:2] != b"\x05\x02":
        return []
    found, at = [], 2
    try:
        while at + 4 <= len(keytab):
            (size,) = struct.unpack_from(">i", keytab, at)
            at += 4
            if size > 0:
                entry = keytab[at : at + size]
                found.append((_name(entry), entry))
            at += abs(size)  # a negative size is a hole
    except (struct.error, UnicodeDecodeError):
        return []
    return found


def _name(entry: bytes) -> tuple[str, str]:
    (count,) = struct.unpack_from(">H", entry)
    words, at = [], 2
    for _ in range(count + 1):
        (size,) = struct.unpack_from(">H", entry, at)
        words.append(entry[at + 2 : at + 2 + size].decode())
        at += 2 + size
    return "/".join(words[1:]), words[0]
