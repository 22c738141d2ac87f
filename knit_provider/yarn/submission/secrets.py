"""An application's secrets: who may control it, and how its ApplicationMaster proves that it is the right one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from knit_provider.yarn.control.client import ControlCredentials
from knit_provider.yarn.errors import ConfigurationError

CONTROL_SECRET = "knit.control.secret"  # noqa: S105 - the name of a secret, not one
WORKER_SECRET = "knit.worker.secret"  # noqa: S105
KEY = "knit.key"
CERTIFICATE = "knit.certificate"

MOST_SHARED_BYTES = 64 * 1024

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)

# Nobody checks the dates, since the certificate itself is pinned; they are a bound on its use all the same.
_MARGIN = timedelta(days=2)
_WITHOUT_LIMIT = timedelta(days=10 * 365)


@dataclass(frozen=True)
class AppSecrets:
    """What an application's client and its ApplicationMaster share. Nothing of it is shown by ``repr``.

    Attributes:
        control: 256 random bits as base64url; whoever has it controls the application.
        worker: another 256 bits, which containers get: status, progress and the key-value store, and no more.
        key: private EC P-256 key of the control channel, PKCS#8 DER.
        certificate: its self-signed certificate, X.509 DER.
        shared: the submitter's own, which client and containers get.
    """

    control: str = field(repr=False)
    worker: str = field(repr=False)
    key: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    shared: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def credentials(self) -> ControlCredentials:
        """What a client needs to control the application."""
        return ControlCredentials(secret=self.control, certificate=self.certificate, shared=self.shared)

    def for_master(self) -> dict[str, bytes]:
        """The secret keys for the ApplicationMaster's credentials."""
        return {
            **self.shared,
            CONTROL_SECRET: self.control.encode("ascii"),
            WORKER_SECRET: self.worker.encode("ascii"),
            KEY: self.key,
            CERTIFICATE: self.certificate,
        }


def check_shared(shared: Mapping[str, bytes] | None) -> dict[str, bytes]:
    """Check the secrets that a submitter shares with the containers.

    Raises:
        ConfigurationError: a name that is one of ours or no name, or a value that is not bytes or too large.
    """
    given = dict(shared or {})
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.startswith("knit."):
            raise ConfigurationError(
                f"secrets: {name!r} cannot be a secret's name; use letters, digits, '.', '_' and '-', and not 'knit.' "
                "in front"
            )
        if not isinstance(value, bytes):
            raise ConfigurationError(f"secrets.{name} is a {type(value).__name__}; secrets are bytes")
    size = sum(len(value) for value in given.values())
    if size > MOST_SHARED_BYTES:
        # The ResourceManager keeps them in its own store for as long as it knows the application.
        raise ConfigurationError(f"secrets are {size} bytes in all; at most {MOST_SHARED_BYTES} can be shared")
    return given


def new_secrets(application_id: str, lifetime: float | None, shared: Mapping[str, bytes] | None = None) -> AppSecrets:
    """Make the secrets of one application.

    Args:
        application_id: becomes the certificate's name.
        lifetime: the application's longest life in seconds; the certificate holds two days longer. None is no limit.
        shared: the submitter's own, checked.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, application_id)])
    now = datetime.now(UTC)
    life = _WITHOUT_LIMIT if lifetime is None else timedelta(seconds=lifetime) + _MARGIN
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # The clocks of nodes and clients differ.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return AppSecrets(
        control=secrets.token_urlsafe(32),
        worker=secrets.token_urlsafe(32),
        key=key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate=certificate.public_bytes(serialization.Encoding.DER),
        shared=dict(shared or {}),
    )
