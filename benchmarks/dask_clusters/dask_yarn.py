"""dask-yarn 0.9, in an environment with the distributed that it can still be imported with."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.dask_clusters.protocol import measure


def begin() -> Any:
    import dask_yarn  # type: ignore[import-not-found]

    return dask_yarn.YarnCluster(
        environment=f"python://{sys.executable}",
        n_workers=2,
        worker_memory="512 MiB",
        worker_vcores=1,
        deploy_mode="local",
        dashboard_address=":0",
    )


if __name__ == "__main__":
    measure(begin, ("services", "worker"), int(sys.argv[1]))
