"""YARN's REST interfaces: the ResourceManager's and the NodeManagers'."""

from knit_provider.yarn.rest.session import Session

__all__ = ["Session"]
