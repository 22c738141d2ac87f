"""Java's stores of certificates, read and written without Java.

Of a store only the certificates are of interest here, never a key. PKCS12 is read by ``cryptography``. For JKS there is
no library that anybody keeps up, and what a truststore of that format holds is plain: a list of certificates, and a
digest over it that the password goes into.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from knit_provider.yarn.errors import ConfigurationError

LARGEST_STORE = 16 * 2**20
"""Bytes. Java's own store of public CAs has 200 kB."""

_JKS, _JCEKS = 0xFEEDFEED, 0xCECECECE
_KEY, _CERTIFICATE = 1, 2
_SALT = b"Mighty Aphrodite"
_DIGEST = hashlib.sha1().digest_size  # noqa: S324 - the format's own


def certificates_in(path: str | os.PathLike[str], password: str | None = None) -> list[x509.Certificate]:
    """The certificates in a store; its format is told by its content, as Java does it.

    Args:
        path: a PEM file, or a JKS or PKCS12 store.
        password: the store's. JKS can be read without; with one, it is checked.

    Raises:
        ConfigurationError: it cannot be read, its format is another, the password is wrong, or it holds no certificate.
    """
    file = Path(path)
    try:
        with file.open("rb") as f:
            content = f.read(LARGEST_STORE + 1)
    except OSError as e:
        raise ConfigurationError(f"{file} cannot be read: {e.strerror or e}") from e
    if len(content) > LARGEST_STORE:
        raise ConfigurationError(f"{file} is larger than {LARGEST_STORE >> 20} MiB: no store of certificates")
    try:
        found = _certificates(content, password)
    except _Unreadable as e:
        raise ConfigurationError(f"{file} {e}") from None
    if not found:
        raise ConfigurationError(f"{file} holds no certificate")
    return found


def certificates_in_pem(text: str | bytes) -> list[x509.Certificate]:
    """The certificates in PEM text.

    Raises:
        ConfigurationError: there is none, or one that is damaged.
    """
    try:
        return x509.load_pem_x509_certificates(text.encode() if isinstance(text, str) else text)
    except ValueError as e:
        raise ConfigurationError(f"this PEM text holds no certificate that can be read: {e}") from None


def pem_of(certificates: Sequence[x509.Certificate]) -> str:
    """Certificates as PEM text."""
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates)


def jks_of(certificates: Sequence[x509.Certificate], password: str) -> bytes:
    """A truststore in the one format that every Java reads."""
    out = io.BytesIO()
    out.write(struct.pack(">III", _JKS, 2, len(certificates)))
    for number, certificate in enumerate(certificates):
        der = certificate.public_bytes(Encoding.DER)
        out.write(struct.pack(">I", _CERTIFICATE) + _utf(f"ca-{number}") + struct.pack(">q", int(time.time() * 1000)))
        out.write(_utf("X.509") + struct.pack(">I", len(der)) + der)
    content = out.getvalue()
    return content + _digest(content, password)


class _Unreadable(Exception):
    """Why, as the rest of a sentence."""


def _certificates(content: bytes, password: str | None) -> list[x509.Certificate]:
    magic = int.from_bytes(content[:4], "big")
    if b"-----BEGIN CERTIFICATE-----" in content or b"-----BEGIN TRUSTED CERTIFICATE-----" in content:
        try:
            return certificates_in_pem(content)
        except ConfigurationError as e:
            raise _Unreadable(f"cannot be used: {e}") from None
    if magic == _JKS:
        return _of_jks(content, password)
    if magic == _JCEKS:
        raise _Unreadable(f"is a JCEKS store, which only Java reads; {_CONVERT}")
    if content[:1] == b"\x30":
        return _of_pkcs12(content, password)
    raise _Unreadable(f"is none of PEM, JKS and PKCS12; {_CONVERT}")


def _of_pkcs12(content: bytes, password: str | None) -> list[x509.Certificate]:
    last: ValueError | None = None
    # Where there is no password, programs differ in whether that is an empty one.
    for attempt in [password.encode()] if password else [None, b""]:
        try:
            store = pkcs12.load_pkcs12(content, attempt)
        except ValueError as e:
            last = e
            continue
        entries = [*([store.cert] if store.cert else []), *store.additional_certs]
        return [entry.certificate for entry in entries]
    way_out = "is that its password?" if password else "it needs a password (ssl.client.truststore.password)"
    raise _Unreadable(f"cannot be opened as PKCS12 ({last}); {way_out}")


def _of_jks(content: bytes, password: str | None) -> list[x509.Certificate]:
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    if password and not hmac.compare_digest(_digest(body, password), digest):
        raise _Unreadable("was made with another password, or is damaged")
    found = []
    try:
        data = _Reader(body, 4)
        version, count = data.number(), data.number()
        for _ in range(count):
            tag = data.number()
            data.take(data.number(2))  # alias
            data.take(8)  # time of creation
            if tag == _KEY:
                data.take(data.number())
                chain = [_certificate(data, version) for _ in range(data.number())]
                found += chain[1:]
            elif tag == _CERTIFICATE:
                found.append(_certificate(data, version))
            else:
                raise _Unreadable(f"holds an entry of the unknown kind {tag}; {_CONVERT}")
    except (EOFError, ValueError) as e:
        raise _Unreadable(f"is a damaged JKS store: {e}") from None
    return found


def _certificate(data: _Reader, version: int) -> x509.Certificate:
    if version > 1:
        data.take(data.number(2))  # its type, which is always X.509
    return x509.load_der_x509_certificate(data.take(data.number()))


class _Reader:
    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self._at = at

    def take(self, count: int) -> bytes:
        piece = self._content[self._at : self._at + count]
        if len(piece) < count:
            raise EOFError(f"it ends {count - len(piece)} bytes too early")
        self._at += count
        return piece

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "big")


def _digest(content: bytes, password: str) -> bytes:
    return hashlib.sha1(password.encode("utf-16-be") + _SALT + content).digest()  # noqa: S324 - the format's own


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")


_CONVERT = "write its certificates out as PEM: keytool -exportcert -rfc -keystore STORE -alias NAME"
