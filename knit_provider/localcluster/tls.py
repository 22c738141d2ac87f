"""TLS on every web port of the embedded Hadoop: a CA of the cluster's own, and Java's stores made from it."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from knit_provider.localcluster.ports import LOOPBACK
from knit_provider.localcluster.settings import Layout
from knit_provider.yarn.tls.stores import jks_of

CA_NAME = "knit-provider embedded CA"
_POLICY = "yarn.http.policy"
_HTTPS = "HTTPS_ONLY"
_DAYS = 365
# With TLS alone a daemon leaves its plain port, so its secure one takes that number.
_SAME_PORT: Mapping[str, str] = {
    "dfs.namenode.http-address": "dfs.namenode.https-address",
    "dfs.datanode.http.address": "dfs.datanode.https.address",
    "yarn.resourcemanager.webapp.address": "yarn.resourcemanager.webapp.https.address",
    "mapreduce.jobhistory.webapp.address": "mapreduce.jobhistory.webapp.https.address",
}

_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A CA that lives in memory.

    Attributes:
        certificate: its own certificate.
    """

    def __init__(self, name: str = CA_NAME) -> None:
        """Makes one with a new key."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        self.certificate = (
            _builder(
                self._name, self._name, self._key.public_key(), now - timedelta(days=1), now + timedelta(days=_DAYS)
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """Its certificate, for those who are to trust it."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")

    def issue(
        self, names: Sequence[str] = ("localhost", LOOPBACK), *, ends: datetime | None = None
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """A server's key and certificate.

        Args:
            names: host names and addresses that it is for.
            ends: until when it holds; a year from now by default. May be past.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        ends = ends or now + timedelta(days=_DAYS)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = (
            _builder(subject, self._name, key.public_key(), min(now, ends) - timedelta(days=1), ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return key, certificate

    def write_server(self, path: Path, names: Sequence[str], *, ends: datetime | None = None) -> Path:
        """Writes a server's key and certificate into one PEM file that only the user can read, and returns it."""
        key, certificate = self.issue(names, ends=ends)
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        return path


def is_tls(settings: Mapping[str, str]) -> bool:
    """Whether a cluster with these settings has TLS."""
    return settings.get(_POLICY) == _HTTPS


def ca_file(layout: Layout) -> Path:
    """The CA's certificate, as PEM."""
    return layout.root / "tls" / "ca.pem"


def tls_settings(layout: Layout, settings: Mapping[str, str]) -> dict[str, str]:
    """Makes the stores anew, and gives the settings that make daemons and clients use them.

    Args:
        layout: the cluster's folder.
        settings: those without TLS, for the addresses in them.
    """
    folder = ca_file(layout).parent
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = Authority()
    password = secrets.token_hex(16)
    ca_file(layout).write_text(authority.pem)
    key, certificate = authority.issue()
    keystore, truststore = folder / "server.p12", folder / "truststore.jks"
    keystore.touch(mode=0o600)
    keystore.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"server", key, certificate, [authority.certificate], BestAvailableEncryption(password.encode())
        )
    )
    truststore.write_bytes(jks_of([authority.certificate], password))
    history = settings["mapreduce.jobhistory.webapp.address"]
    stores = {
        "ssl.server.keystore.location": str(keystore),
        "ssl.server.keystore.password": password,
        "ssl.server.keystore.keypassword": password,
        "ssl.server.keystore.type": "pkcs12",
    }
    for side in ("server", "client"):
        stores[f"ssl.{side}.truststore.location"] = str(truststore)
        stores[f"ssl.{side}.truststore.password"] = password
        stores[f"ssl.{side}.truststore.type"] = "jks"
    return {
        **stores,
        **dict(_same_ports(settings)),
        # Each NodeManager has a port of its own, in the same file.
        "yarn.nodemanager.webapp.https.address": "${yarn.nodemanager.webapp.address}",
        _POLICY: _HTTPS,
        "dfs.http.policy": _HTTPS,
        "mapreduce.jobhistory.http.policy": _HTTPS,
        "yarn.log.server.url": f"https://{history}/jobhistory/logs",
        "yarn.log.server.web-service.url": f"https://{history}/ws/v1/history",
    }


def _same_ports(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Of daemons that come in twos, each has its own: the property's name goes on with its id."""
    for plain, secure in _SAME_PORT.items():
        for key, address in settings.items():
            if key == plain or key.startswith(f"{plain}."):
                yield f"{secure}{key[len(plain) :]}", address


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
