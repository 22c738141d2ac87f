"""The tokens that an application's containers have, and whether a NameNode still takes them."""

from __future__ import annotations

from pathlib import Path

import requests

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.tokens import HDFS_KIND, Token, read_token_file


def container_files(cluster: LocalCluster, app_id: str, name: str) -> dict[str, Path]:
    """The local copies that an application's containers have of a file, by container."""
    found = cluster.directory.glob(f"nodes/*/local/usercache/*/appcache/{app_id}/container_*/{name}")
    return {path.parent.name: path for path in found}


def hdfs_token(path: Path) -> Token:
    """The one HDFS token in a token file."""
    (token,) = (token for token in read_token_file(path.read_bytes()) if token.kind == HDFS_KIND)
    return token


def is_taken(cluster: LocalCluster, token: Token) -> bool:
    """Whether the active NameNode takes it."""
    url = f"{cluster.scheme}://{cluster.namenode_web}/webhdfs/v1/?op=GETFILESTATUS"
    verify = str(cluster.ca) if cluster.tls else True
    return requests.get(url, params={"delegation": token.to_text()}, timeout=20, verify=verify).ok
