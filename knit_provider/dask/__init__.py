"""Dask on YARN: :class:`DaskYARNCluster`, one YARN application for each Dask cluster. Needs the extra ``[dask]``."""

from __future__ import annotations

try:
    import distributed as _distributed  # noqa: F401 - is it there at all?
except ImportError as e:
    raise ImportError(
        f"knit_provider.dask needs distributed, which cannot be imported ({e}): pip install 'knit-provider[dask]'"
    ) from e

from knit_provider.dask.cluster import DaskYARNCluster

__all__ = ["DaskYARNCluster"]
