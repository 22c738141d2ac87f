"""Where in the filesystem YARN keeps an application's aggregated logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knit_provider.yarn.errors import KnitError

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.files.port import Files

# A node's file is named after it, with "_" for ":"; one that is written to more than once has the time behind that.
_NODE = re.compile(r"(?P<host>.+)_(?P<port>\d{1,5})(?:_\d{6,})?")
_FORMATS = ("TFile",)
# Hadoop spreads applications over so many folders, that none of them grows too large.
_BUCKETS = 10_000


def log_folders(conf: HadoopConf, app_id: str, owner: str) -> list[str]:
    """The folders that may hold them, of all layouts that Hadoop has had, the newest first."""
    found = []
    root = str(conf.get("yarn.nodemanager.remote-app-log-dir") or "/tmp/logs")  # noqa: S108 - in HDFS
    suffix = str(conf.get("yarn.nodemanager.remote-app-log-dir-suffix") or "logs")
    bucket = f"{int(app_id.rpartition('_')[2]) % _BUCKETS:04d}"
    for kind in conf.get_list("yarn.log-aggregation.file-formats") or _FORMATS:
        own_root = str(conf.get(f"yarn.log-aggregation.{kind}.remote-app-log-dir") or root)
        own = conf.get(f"yarn.log-aggregation.{kind}.remote-app-log-dir-suffix")
        named = str(own or f"{suffix}-{kind.lower()}")
        found += [f"{own_root}/{owner}/bucket-{named}/{bucket}/{app_id}", f"{own_root}/{owner}/{named}/{app_id}"]
    return list(dict.fromkeys([*found, f"{root}/{owner}/{suffix}/{app_id}"]))


def where_logs_lie(conf: HadoopConf, files: Files | None, app_id: str, owner: str) -> str:
    """For messages: the folder that is there, else those where it should be."""
    folders = log_folders(conf, app_id, owner)
    if files is not None:
        for folder in folders:
            try:
                status = files.status(folder)
            except KnitError:
                continue
            if status is not None:
                return status.path
    shown = [folder if "://" in folder else f"{conf.default_fs}{folder}" for folder in folders]
    return " or ".join(shown)


def node_of(name: str) -> str:
    """``host:port`` of the node that wrote the file of this name."""
    match = _NODE.fullmatch(name)
    return f"{match['host']}:{match['port']}" if match else name
