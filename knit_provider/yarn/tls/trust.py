"""Which CAs are trusted: those a user names, else the environment's, else those of Hadoop's ``ssl-client.xml``."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from knit_provider.yarn.config.site_xml import read_site_xml
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.tls.stores import certificates_in, certificates_in_pem, jks_of, pem_of
from knit_provider.yarn.user_cache import private_folder

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf

log = logging.getLogger(__name__)

VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""What the environment names a file of CAs in, the first that is set counts."""

CLIENT_FILE = "hadoop.ssl.client.conf"
_STORE = "ssl.client.truststore."
# Java wants one for every store. What lies in it is public.
_PASSWORD = "changeit"  # noqa: S105
_BEGIN = "-----BEGIN"
_HTTPS = "HTTPS_ONLY"


@dataclass(frozen=True)
class Trust:
    """The CAs that a TLS connection is checked with. Host names are always checked.

    Attributes:
        pem: their certificates as PEM text; None trusts what the environment names, else the public CAs.
        source: where they are from, for messages.
        java: the properties that make Hadoop's own client trust the same.
    """

    pem: str | None = field(default=None, repr=False)
    source: str = "the public CAs"
    java: Mapping[str, str] = field(default_factory=dict, repr=False)


def trust_of(conf: HadoopConf, secure: bool | None = None) -> Trust:
    """Whom a configuration says to trust.

    The first of these that is there: ``ca_bundle`` (a path, or the PEM text itself); ``REQUESTS_CA_BUNDLE`` or
    ``SSL_CERT_FILE`` of the environment; the truststore that ``ssl-client.xml`` beside the ``*-site.xml`` files names;
    the public CAs. A truststore that cannot be read is a warning, since it may not be needed; nobody looks at it where
    the cluster has no TLS.

    Args:
        conf: the configuration.
        secure: whether anything has TLS; default what the configuration says.

    Raises:
        ConfigurationError: ``ca_bundle`` names no file with certificates.
    """
    given = conf.short("ca_bundle")
    if given:
        return _given(str(given))
    for name in VARIABLES:
        if os.environ.get(name):
            return Trust(source=f"{name}={os.environ[name]}")
    return _of_hadoop(conf) if (_has_tls(conf) if secure is None else secure) else Trust()


def client_properties(conf: HadoopConf) -> dict[str, str]:
    """The properties of ``ssl-client.xml``, or of what ``hadoop.ssl.client.conf`` names; those set in ``conf`` itself
    win, as where no file can be laid.

    Raises:
        ConfigurationError: the file is there and is no Hadoop configuration.
    """
    name = str(conf.get(CLIENT_FILE) or "ssl-client.xml")
    folders = [Path(folder) for folder in conf.directories]
    found: dict[str, str] = {}
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if path is not None:
        for one in read_site_xml(path, folders):
            if one.value is not None:
                found[one.name] = one.value.strip()
    found.update({key: str(conf[key]) for key in conf.property_names() if key.startswith("ssl.client.")})
    return found


def _has_tls(conf: HadoopConf) -> bool:
    policies = ("yarn.http.policy", "dfs.http.policy", "mapreduce.jobhistory.http.policy")
    return (
        conf.scheme == "https"
        or any(str(conf.get(policy, "")).upper() == _HTTPS for policy in policies)
        or conf.default_fs.startswith("swebhdfs:")
    )


def _given(text: str) -> Trust:
    if text.lstrip().startswith(_BEGIN):
        certificates, source = certificates_in_pem(text), "ca_bundle"
    else:
        path = Path(text).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"ca_bundle={text!r} is no file; give a file of CA certificates (PEM, JKS or PKCS12), or the PEM text"
            )
        certificates, source = certificates_in(path), f"ca_bundle={text}"
    return Trust(pem_of(certificates), source)


def _of_hadoop(conf: HadoopConf) -> Trust:
    try:
        properties = client_properties(conf)
        location = properties.get(f"{_STORE}location")
        if not location:
            return Trust()
        certificates = certificates_in(location, properties.get(f"{_STORE}password"))
    except ConfigurationError as e:
        log.warning("the truststore of ssl-client.xml is not used: %s. ca_bundle= can take its place", e)
        return Trust(source=f"the public CAs, since of ssl-client.xml's truststore: {e}")
    return Trust(pem_of(certificates), f"{location}, which ssl-client.xml names", properties)


def java_properties(trust: Trust, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What makes Hadoop's own client, in a JVM, trust the same CAs; empty where Java's own are meant.

    CAs that are in no Java store yet are written into one in the user's cache, named after its content.
    """
    if trust.java or trust.pem is None:
        return dict(trust.java)
    folder = private_folder(os.environ if environ is None else environ, "truststores")
    if folder is None:
        log.warning("the user's cache can be written by others, so the JVM does not learn of %s", trust.source)
        return {}
    path = folder / f"{hashlib.sha256(trust.pem.encode()).hexdigest()[:32]}.jks"
    if not path.exists():
        temporary = folder / f".{path.name}.{os.getpid()}"
        temporary.write_bytes(jks_of(certificates_in_pem(trust.pem), _PASSWORD))
        temporary.replace(path)
    return {f"{_STORE}location": str(path), f"{_STORE}password": _PASSWORD, f"{_STORE}type": "jks"}
