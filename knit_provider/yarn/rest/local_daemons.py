"""Logs of YARN's own daemons, where they run on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from knit_provider.yarn.rest.transport import is_loopback

_CLASSES = {
    "rm": "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nm": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
}
_LOG_PROPERTIES = (("hadoop.log.dir", "hadoop.log.file"), ("yarn.log.dir", "yarn.log.file"))
_DEFAULT_DIRECTORIES = ("/var/log/hadoop-yarn", "/var/log/hadoop")


def system_logs(rm: tuple[str, int], nodes: list[tuple[str, int]]) -> dict[str, Any]:
    """Find ResourceManager and NodeManager processes on this machine, and the files they log to.

    Where a machine runs daemons of several clusters, those that listen on this cluster's web ports are taken.

    Args:
        rm: host and web port of the ResourceManager.
        nodes: host and web port of each node.

    Returns:
        ``on_rm`` and ``single_node`` (is this the ResourceManager's machine, and the only node's too?); for each
        daemon that runs here ``rm_proc``/``nm_proc`` (a ``psutil.Process``) and ``rm_logfile``/``nm_logfile`` (a path),
        and ``rm_logfiles``/``nm_logfiles``, lists for machines with several of them.
    """
    mine = _own_addresses()
    on_rm = _is_here(rm[0], mine)
    found: dict[str, Any] = {
        "on_rm": on_rm,
        "single_node": on_rm and len(nodes) == 1 and _is_here(nodes[0][0], mine),
        "rm_logfiles": [],
        "nm_logfiles": [],
    }
    processes = list(_daemons())
    ports = {rm[1], *(port for _, port in nodes)}
    ours = [(kind, process) for kind, process in processes if _listens_on(process, ports)]
    for kind, process in ours or processes:
        logfile = _logfile(process)
        found.setdefault(f"{kind}_proc", process)
        if logfile is not None:
            found.setdefault(f"{kind}_logfile", logfile)
            found[f"{kind}_logfiles"].append(logfile)
    return found


def _daemons() -> Iterator[tuple[str, psutil.Process]]:
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        for kind, main_class in _CLASSES.items():
            if main_class in words:
                yield kind, process


def _listens_on(process: psutil.Process, ports: set[int]) -> bool:
    try:
        # The name before psutil 6 is connections().
        ask = process.net_connections if hasattr(process, "net_connections") else process.connections
        connections = ask(kind="tcp")
    except (psutil.Error, OSError):
        return False  # another user's process
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port in ports for c in connections)


def _logfile(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
        for directory_key, file_key in _LOG_PROPERTIES:
            directory, file = _property(words, directory_key), _property(words, file_key)
            if directory and file and (path := Path(directory, file)).is_file():
                return str(path)
        # A daemon started by hand or by a test harness writes to wherever its output goes, or keeps a log file open.
        candidates = [file.path for file in process.open_files() if file.path.endswith((".log", ".out"))]
        if candidates:
            return sorted(candidates, key=lambda path: (not path.endswith(".log"), path))[0]
        return _redirected_output(process) or _in_default_directory(process)
    except (psutil.Error, OSError):
        return None  # another user's process


def _property(words: list[str], key: str) -> str | None:
    return next((word.partition("=")[2] for word in words if word.startswith(f"-D{key}=")), None)


def _redirected_output(process: psutil.Process) -> str | None:
    target = os.readlink(f"/proc/{process.pid}/fd/1")
    return target if target.startswith("/") and Path(target).is_file() else None


def _in_default_directory(process: psutil.Process) -> str | None:
    environment = process.environ()
    words = process.cmdline()
    name = next((main.rpartition(".")[2].lower() for main in _CLASSES.values() if main in words), "")
    for directory in (environment.get("HADOOP_LOG_DIR"), environment.get("YARN_LOG_DIR"), *_DEFAULT_DIRECTORIES):
        if directory and Path(directory).is_dir():
            logs = sorted(Path(directory).glob(f"*{name}*.log"), key=lambda path: path.stat().st_mtime)
            if logs:
                return str(logs[-1])
    return None


def _own_addresses() -> set[str]:
    addresses = psutil.net_if_addrs().values()
    return {address.address.partition("%")[0] for group in addresses for address in group}


def _is_here(host: str, mine: set[str]) -> bool:
    if is_loopback(host):
        return True
    try:
        return any(info[4][0] in mine for info in socket.getaddrinfo(host, None))
    except OSError:
        return False
