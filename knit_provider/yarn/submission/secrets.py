"""An application's secrets: who may control it, and how its ApplicationMaster proves that it is the right one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from knit_provider.yarn.control.client import ControlCredentials

CONTROL_SECRET = "knit.control.secret"  # noqa: S105 - the name of a secret, not one
WORKER_SECRET = "knit.worker.secret"  # noqa: S105
KEY = "knit.key"
CERTIFICATE = "knit.certificate"

# Nobody checks the dates, since the certificate itself is pinned; they are a bound on its use all the same.
_MARGIN = timedelta(days=2)
_WITHOUT_LIMIT = timedelta(days=10 * 365)


@dataclass(frozen=True)
class AppSecrets:
    """What an application's client and its ApplicationMaster share. Nothing of it is shown by ``repr``.

    Attributes:
        control: 256 random bits as base64url; whoever has it controls the application.
        worker: another 256 bits, which containers get: they may report progress with it and no more.
        key: private EC P-256 key of the control channel, PKCS#8 DER.
        certificate: its self-signed certificate, X.509 DER.
    """

    control: str = field(repr=False)
    worker: str = field(repr=False)
    key: bytes = field(repr=False)
    certificate: bytes = field(repr=False)

    @property
    def credentials(self) -> ControlCredentials:
        """What a client needs to control the application."""
        return ControlCredentials(secret=self.control, certificate=self.certificate)

    def for_master(self) -> dict[str, bytes]:
        """The secret keys for the ApplicationMaster's credentials."""
        return {
            CONTROL_SECRET: self.control.encode("ascii"),
            WORKER_SECRET: self.worker.encode("ascii"),
            KEY: self.key,
            CERTIFICATE: self.certificate,
        }


def new_secrets(application_id: str, lifetime: float | None) -> AppSecrets:
    """Make the secrets of one application.

    Args:
        application_id: becomes the certificate's name.
        lifetime: the application's longest life in seconds; the certificate holds two days longer. None is no limit.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, application_id)])
    now = datetime.now(timezone.utc)
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
    )
