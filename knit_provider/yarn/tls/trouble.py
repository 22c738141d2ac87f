"""What is wrong with a certificate that was refused: who issued it, for whom, until when, and what to do."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from knit_provider.yarn.errors import ClusterUnavailable
from knit_provider.yarn.tls.trust import VARIABLES, Trust

_SECONDS = 2.0
# OpenSSL's numbers for what it found.
_NOT_YET, _EXPIRED = 9, 10
_HOST = (62, 64)
_UNKNOWN = (2, 18, 19, 20, 21, 24)


@dataclass(frozen=True)
class Certificate:
    """What a server shows of itself.

    Attributes:
        subject, issuer: as in ``CN=rm.example.com``.
        names: the host names and addresses that it is for.
        begins, ends: when it holds.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: datetime
    ends: datetime

    @classmethod
    def of(cls, der: bytes) -> Certificate:
        """Read one.

        Raises:
            ValueError: it is none.
        """
        found = x509.load_der_x509_certificate(der)
        names: list[str] = []
        try:
            extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = [str(name.value) for name in extension]
        except x509.ExtensionNotFound:
            pass
        return cls(
            found.subject.rfc4514_string(),
            found.issuer.rfc4514_string(),
            tuple(names),
            found.not_valid_before_utc,
            found.not_valid_after_utc,
        )


def shown_certificate(host: str, port: int, seconds: float = _SECONDS) -> Certificate | None:
    """The certificate that a server shows, trusted or not; nothing is said to it. None where it shows none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as raw,
            context.wrap_socket(raw, server_hostname=host) as connection,
        ):
            der = connection.getpeercert(binary_form=True)
        return Certificate.of(der) if der else None
    except (OSError, ValueError):
        return None


def checked_certificate(url: str, trust: Trust, seconds: float = _SECONDS) -> Certificate:
    """The certificate that the server at ``url`` shows, if it proves who that is; nothing is said to the server.

    Raises:
        ClusterUnavailable: it does not; says what is wrong with it, or that no TLS is spoken there.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        file = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), DEFAULT_CA_BUNDLE_PATH)
        context = ssl.create_default_context(cadata=trust.pem, cafile=None if trust.pem else file)
        with (
            socket.create_connection((host, port), timeout=seconds) as raw,
            context.wrap_socket(raw, server_hostname=host) as connection,
        ):
            return Certificate.of(connection.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError) as e:
        said = refused_certificate(url, e, trust.source)
        raise ClusterUnavailable(said or f"no TLS with {parts.scheme}://{parts.netloc}: {e}") from e


def refused_certificate(url: str, error: BaseException, trusted: str) -> str | None:
    """Says what is wrong with the certificate that ``error`` is about; None if it is about something else.

    Args:
        url: what was asked for.
        error: of ``requests`` or of ``ssl``, with its causes.
        trusted: where the trusted CAs are from.
    """
    code = _code_of(error)
    if code is None:
        return None
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    place = f"{parts.scheme}://{parts.netloc}"
    shown = shown_certificate(host, port)
    issuer = f", issued by {shown.issuer}," if shown else ""
    if code in _HOST:
        names = f"it is for {', '.join(shown.names) or shown.subject}" if shown else "it is for another host"
        return (
            f"the certificate of {place}{issuer} is not for {host}: {names}. Name the server as its certificate does, "
            "or have one made for this name"
        )
    if code in (_EXPIRED, _NOT_YET):
        return _out_of_time(place, issuer, shown, code)
    if code in _UNKNOWN:
        return (
            f"the certificate of {place}{issuer} is of a CA that is not trusted here (trusted: {trusted}). Give that "
            "CA's certificate as ca_bundle=, or put it into the truststore that ssl-client.xml names"
        )
    return f"the certificate of {place}{issuer} is refused: {_words_of(error)} (trusted: {trusted})"


def _out_of_time(place: str, issuer: str, shown: Certificate | None, code: int) -> str:
    now = datetime.now(UTC)
    if shown is not None and shown.begins <= now <= shown.ends:
        return f"a CA above the certificate of {place}{issuer} is not valid now; have it renewed (trusted CAs too)"
    if code == _EXPIRED:
        when = f" on {shown.ends:%Y-%m-%d %H:%M} UTC" if shown else ""
        return f"the certificate of {place}{issuer} expired{when}; have the server's certificate renewed"
    when = f" before {shown.begins:%Y-%m-%d %H:%M} UTC" if shown else " yet"
    return f"the certificate of {place}{issuer} is not valid{when}; are the clocks right?"


def _code_of(error: BaseException) -> int | None:
    found = _inner(error)
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        return int(found.verify_code)
    return _HOST[0]


def _words_of(error: BaseException) -> str:
    found = _inner(error)
    return str(getattr(found, "verify_message", "") or found)


def _inner(error: BaseException) -> BaseException | None:
    """The error about a certificate among an error's causes."""
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        current = todo.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, ssl.SSLCertVerificationError) or type(current).__name__ == "CertificateError":
            return current
        todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return None
