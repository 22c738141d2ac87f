"""Jars out of a Maven repository without Maven: over HTTPS, and kept only if their checksum is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError
from knit_provider.yarn.gateway.maven import Artifact
from knit_provider.yarn.rest.transport import Transport, Unanswered, is_loopback

VARIABLE = "KNIT_MAVEN_REPOSITORY"
"""Environment variable with the base URL of another repository, such as a mirror inside the company."""

CENTRAL = "https://repo.maven.apache.org/maven2"
"""Maven's own default."""

_SILENCE_TIMEOUT = 60.0
_LARGEST = 200 * 2**20
_REDIRECTS = 5
# What a repository keeps beside each file, the strongest first. All have the last one.
_CHECKSUMS = ("sha512", "sha256", "sha1")


def base_url(environ: Mapping[str, str]) -> str:
    """The repository to ask.

    Raises:
        ConfigurationError: the variable names none, or one without TLS that is not on this machine.
    """
    url = (environ.get(VARIABLE) or CENTRAL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ConfigurationError(f"{VARIABLE}={url!r} is not the URL of a repository, such as {CENTRAL}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(f"{VARIABLE}={url!r} has no TLS: classes from there run as you. Give an https:// URL")
    return url


def fetch(
    artifacts: Iterable[Artifact], folder: Path, environ: Mapping[str, str], known: Mapping[str, str] | None = None
) -> None:
    """Download jars into a folder.

    Args:
        artifacts: which.
        folder: is there, and empty.
        environ: says which repository.
        known: SHA-256 digests by file name, which count whatever the repository says. Default: none.

    Raises:
        ConfigurationError: the repository cannot be had, lacks one of them, or sends something else.
    """
    base = base_url(environ)
    transport = Transport()
    try:
        for artifact in artifacts:
            url = f"{base}/{artifact.path}"
            expected = (known or {}).get(artifact.file)
            kind, digest = ("sha256", expected) if expected else _checksum(transport, url)
            found = _download(transport, url, folder / artifact.file, kind)
            if found != digest:
                raise ConfigurationError(
                    f"{url} is not what it should be: its {kind} is {found} and not {digest}. Nothing of it was kept; "
                    f"is something on the way that changes downloads? {VARIABLE} names another repository"
                )
    except (ClusterUnavailable, OSError) as error:
        raise ConfigurationError(
            f"Hadoop's client jars cannot be had from {base}: {error}. {VARIABLE} names another repository; or set "
            "HADOOP_HOME"
        ) from error
    finally:
        transport.close()


def _checksum(transport: Transport, url: str) -> tuple[str, str]:
    for kind in _CHECKSUMS:
        answer = transport.exchange("GET", f"{url}.{kind}", timeout=_SILENCE_TIMEOUT)
        words = answer.text.split()
        if answer.status == 200 and words and len(words[0]) == hashlib.new(kind).digest_size * 2:
            return kind, words[0].lower()
        if answer.status not in (200, 403, 404):
            raise ClusterUnavailable(f"{answer.url} answered {answer.shown()}")
    raise ClusterUnavailable(f"{url} has no checksum beside it, or is not there")


def _download(transport: Transport, url: str, target: Path, kind: str) -> str:
    """Write the file and return its digest."""
    digest, written = hashlib.new(kind), 0
    for _ in range(_REDIRECTS):
        with transport.stream("GET", url, timeout=_SILENCE_TIMEOUT) as response:
            location = response.headers.get("Location")
            if response.status_code in (301, 302, 303, 307, 308) and location:
                following = urljoin(url, location)
                if urlsplit(following).scheme != "https" and urlsplit(url).scheme == "https":
                    raise ClusterUnavailable(f"{url} sends us to a place without TLS; that is refused")
                url = following
                continue
            if response.status_code != 200:
                raise ClusterUnavailable(f"{url} answered {response.status_code}")
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
                for chunk in transport.chunks(response):
                    written += len(chunk)
                    if written > _LARGEST:
                        raise Unanswered(f"{url} sends more than {_LARGEST >> 20} MiB", sent=True, may_pass=False)
                    digest.update(chunk)
                    file.write(chunk)
            return digest.hexdigest()
    raise ClusterUnavailable(f"{url} redirects again and again")
