"""The embedded Hadoop: the stock daemons on this machine, started from jars that Maven resolves."""

from knit_provider.localcluster.cluster import LocalCluster as LocalCluster
from knit_provider.localcluster.daemon import Daemon as Daemon

__all__ = ["Daemon", "LocalCluster"]
