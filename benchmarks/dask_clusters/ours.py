"""This project's cluster, as the measuring process sees it."""

from __future__ import annotations

import os
import sys
from typing import Any

from benchmarks.dask_clusters.protocol import measure


def begin(nanny: bool) -> Any:
    from knit_provider import DaskYARNCluster

    return DaskYARNCluster(
        n_workers=2,
        memory=512,
        env=f"python://{sys.executable}",
        nanny=nanny,
        dashboard_address=":0",
        hadoop_conf_dir=os.environ["HADOOP_CONF_DIR"],
    )


if __name__ == "__main__":
    measure(lambda: begin("no-nanny" not in sys.argv), ("knit_dask.py", "worker"), int(sys.argv[1]))
