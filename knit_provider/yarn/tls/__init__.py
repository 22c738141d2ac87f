"""TLS as a client of Hadoop's: whom to trust, out of which stores, and what a certificate that is refused has wrong."""

from knit_provider.yarn.tls.trust import Trust, trust_of

__all__ = ["Trust", "trust_of"]
