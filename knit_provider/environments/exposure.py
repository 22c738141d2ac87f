"""Looking for secrets in an archive before everybody may read it."""

from __future__ import annotations

import fnmatch
import gzip
import posixpath
import re
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files import archives

_SHOWN = 10
# Secrets are small; a larger file is judged by its name and its beginning.
_LOOKED_AT = 1024 * 1024

_NAMES: tuple[tuple[str, str], ...] = (
    (".netrc", "passwords of hosts"),
    ("_netrc", "passwords of hosts"),
    ("pip.conf", "pip's configuration, which may hold an index's password"),
    ("pip.ini", "pip's configuration, which may hold an index's password"),
    (".pypirc", "passwords of package indexes"),
    (".condarc", "conda's configuration, which may hold a channel's token"),
    (".git-credentials", "passwords of git servers"),
    (".pgpass", "passwords of databases"),
    (".npmrc", "tokens of package indexes"),
    (".env", "settings that are mostly secret"),
    ("id_rsa", "an SSH key"),
    ("id_dsa", "an SSH key"),
    ("id_ecdsa", "an SSH key"),
    ("id_ed25519", "an SSH key"),
    ("*.keytab", "a Kerberos key"),
    ("krb5cc_*", "Kerberos tickets"),
    ("*.kdbx", "a password store"),
)
_PATHS: tuple[tuple[str, str], ...] = (
    (".aws/credentials", "cloud keys"),
    (".docker/config.json", "passwords of registries"),
    (".config/gcloud/*.json", "cloud keys"),
    (".mamba/auth/*", "tokens of channels"),
)
# A header alone is in every library that reads keys; a key has its first line of base64 right behind.
_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----\s+(?:[A-Za-z-]+: [^\n]*\n)*\s*[A-Za-z0-9+/=]{40}")
_CLOUD_KEY = re.compile(rb"\bAKIA[0-9A-Z]{16}\b")
_IN_URL = re.compile(rb"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>{}$]+:[^\s/@\"'<>{}$]+@[A-Za-z0-9\[]")
_CHANNEL_TOKEN = re.compile(rb"://[^\s\"']+/t/[A-Za-z0-9-]{8,}/")
# Where tools write down the URL that something came from, or is to come from.
_WITH_URLS = (
    *("*/direct_url.json", "*/conda-meta/*", "*/etc/*", "*.conf", "*.cfg", "*.ini", "*.toml", "*.yml", "*.yaml"),
    *("*.env", "*/uv.lock", "*/requirements*.txt"),
)
# Python's own tests come with keys that the whole world knows.
_KNOWN_TO_ALL = re.compile(r"(?:.*/)?lib/python3\.\d+t?/test/")


def check_exposable(path: str | Path, allow: Sequence[str] = ()) -> None:
    """Refuse an archive with what looks like a secret: once public, it can be copied by everybody at any time.

    Args:
        path: the local archive.
        allow: patterns (``*`` and ``?``) of paths in the archive that are none.

    Raises:
        ConfigurationError: it holds private keys, passwords or tokens; the message names the members and says why.
    """
    found = [(member, why) for member, why in find_secrets(path) if not _matches(member, allow)]
    if found:
        shown = "; ".join(f"{member} ({why})" for member, why in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ConfigurationError(
            f"{path} is not made public: it holds what looks like secrets: {shown}{more}. Take them out and build it "
            "again, or name those that are none with allow_secrets= (--allow-secret)"
        )


def find_secrets(path: str | Path) -> list[tuple[str, str]]:
    """The members of an archive that look like secrets, and why."""
    return [(member, why) for member, size, content in _members(Path(path)) if (why := _why(member, size, content))]


def _why(member: str, size: int, content: bytes) -> str | None:
    name = posixpath.basename(member)
    for pattern, why in _NAMES:
        if fnmatch.fnmatchcase(name, pattern):
            return why if size else None
    for pattern, why in _PATHS:
        if fnmatch.fnmatchcase(f"/{member}", f"*/{pattern}"):
            return why
    if _KNOWN_TO_ALL.match(member):
        return None
    if _KEY.search(content):
        return "a private key"
    if _CLOUD_KEY.search(content):
        return "a cloud key"
    if any(fnmatch.fnmatchcase(f"/{member}", pattern) for pattern in _WITH_URLS):
        if _IN_URL.search(content):
            return "a URL with a password"
        if _CHANNEL_TOKEN.search(content):
            return "a channel's URL with a token"
    return None


def _members(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Path, size and beginning of each file in an archive."""
    try:
        if (archives.kind_by_name(path.name) or archives.kind_by_content(path)) == ".zip":
            with zipfile.ZipFile(path) as packed:
                for entry in packed.infolist():
                    if not entry.is_dir():
                        with packed.open(entry) as file:
                            yield entry.filename, entry.file_size, file.read(_LOOKED_AT)
            return
        with path.open("rb") as raw:
            gzipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            plain = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if gzipped else raw
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                for member in archive:
                    if member.isreg():
                        content = archive.extractfile(member)
                        yield member.name, member.size, content.read(_LOOKED_AT) if content else b""
                    cast(Any, archive).members = []  # tarfile would keep every one
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be looked through for secrets: {error}") from error


def _matches(member: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(member, pattern) for pattern in patterns)
