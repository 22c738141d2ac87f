"""Who may talk to a Dask cluster: TLS with a key of the cluster's own, unless told otherwise."""

from __future__ import annotations

from distributed.security import Security

from knit_provider.yarn.errors import ConfigurationError


def security_of(given: Security | bool | None) -> Security | None:
    """The Security object of a cluster.

    Args:
        given: one of the caller's own; None or True for a new key that only this cluster has; False for none, so that
            whoever reaches the scheduler's port can run code.

    Raises:
        ConfigurationError: for anything else, or an object without encryption.
    """
    if given is None or given is True:
        return Security.temporary()
    if given is False:
        return None
    if not isinstance(given, Security):
        raise ConfigurationError(
            f"security is a {type(given).__name__}; give a distributed.Security, or False for no encryption at all"
        )
    if not given.require_encryption:
        raise ConfigurationError(
            "security does not require encryption; set require_encryption=True, or give security=False for plain text"
        )
    return given
