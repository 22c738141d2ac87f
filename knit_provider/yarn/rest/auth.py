"""Authentication that goes beyond a user's name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from knit_provider.yarn.errors import ConfigurationError


def kerberos_auth() -> Any:
    """A ``requests`` authentication object that speaks SPNEGO with the ticket of the environment's credential cache.

    Raises:
        ConfigurationError: if neither of the libraries that do it is installed.
    """
    for module, name in (("requests_kerberos", "HTTPKerberosAuth"), ("requests_gssapi", "HTTPSPNEGOAuth")):
        try:
            found = import_module(module)
        except ImportError:
            continue
        # Hadoop's filter answers the last leg on success only, so an error page must not fail mutual authentication.
        return getattr(found, name)(mutual_authentication=found.OPTIONAL)
    raise ConfigurationError(
        "the cluster wants Kerberos, and neither requests-kerberos nor requests-gssapi is installed; install one "
        "(pip install requests-kerberos; it needs the Kerberos development files)"
    )
