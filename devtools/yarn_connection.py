"""The embedded cluster as an Airflow connection."""

from __future__ import annotations

from typing import Any

from knit_provider.localcluster import LocalCluster

USER = "alice"  # whom applications run as: somebody else than the user who runs the daemons


def yarn_connection(cluster: LocalCluster, user: str = USER) -> dict[str, Any]:
    """A connection of type ``yarn``, as ``AIRFLOW_CONN_*`` takes it as JSON."""
    host, _, port = cluster.rm_web.rpartition(":")
    return {
        "conn_type": "yarn",
        "host": host,
        "port": int(port),
        "login": user,
        "extra": {"hadoop_conf_dir": str(cluster.conf_dir)},
    }
