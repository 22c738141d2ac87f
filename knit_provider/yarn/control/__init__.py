"""The control channel: HTTPS and JSON between a client and one application's ApplicationMaster."""

from knit_provider.yarn.control.client import ControlClient, ControlCredentials
from knit_provider.yarn.control.lease import LeaseKeeper

__all__ = ["ControlClient", "ControlCredentials", "LeaseKeeper"]
