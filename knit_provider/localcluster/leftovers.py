"""What is still there when nothing should be: containers, applications, staging folders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from knit_provider.localcluster.launch import Plan
from knit_provider.localcluster.process import ProcessId
from knit_provider.localcluster.web import NotReady
from knit_provider.yarn.rest.shapes import LIVE_STATES


def container_processes(root: Path) -> dict[ProcessId, str]:
    """Processes of containers of the cluster in ``root``, with the container each belongs to.

    A NodeManager that is killed leaves its containers alive. Each is known by the folders in its environment; what it
    started with another environment, by its session.
    """
    prefix = f"{root}/nodes/"
    found: dict[ProcessId, str] = {}
    sessions: dict[int, str] = {}
    others: list[tuple[int, int]] = []
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid() or process.pid == os.getpid():
                continue
            environment = process.environ()
            session = os.getsid(process.pid)
        except (psutil.Error, OSError):
            continue
        container = environment.get("CONTAINER_ID")
        folders = f"{environment.get('LOCAL_DIRS', '')},{environment.get('LOG_DIRS', '')}"
        if container and any(folder.startswith(prefix) for folder in folders.split(",")):
            sessions[session] = container
            _add(found, process.pid, container)
        else:
            others.append((process.pid, session))
    for pid, session in others:
        if session in sessions:
            _add(found, pid, sessions[session])
    return found


def _add(found: dict[ProcessId, str], pid: int, container: str) -> None:
    process = ProcessId.of(pid)
    if process is not None:
        found[process] = container


def leftovers(plan: Plan) -> list[str]:
    """Everything that a cluster at rest should not have, one line each.

    Args:
        plan: the running cluster's plan.

    Returns:
        Lines about live applications, container processes and staging folders; also about what could not be looked at.
    """
    lines: list[str] = []
    try:
        manager = plan.web_of(plan.active("resourcemanager"))
        answer = plan.web.get_json(manager, f"/ws/v1/cluster/apps?states={','.join(LIVE_STATES)}")
        for app in (answer.get("apps") or {}).get("app") or []:
            lines.append(f"application {app['id']} ({app['name']}, user {app['user']}) is {app['state']}")
    except NotReady as error:
        lines.append(f"the ResourceManager could not be asked for its applications: {error}")
    for process, container in container_processes(plan.layout.root).items():
        lines.append(f"process {process.pid} of {container} is alive")
    try:
        lines += [f"staging folder {path} is in HDFS" for path in staging_folders(plan)]
    except NotReady as error:
        lines.append(f"HDFS could not be looked at: {error}")
    return lines


def staging_folders(plan: Plan) -> Iterable[str]:
    """The staging folders of applications below every home directory in HDFS."""
    hdfs = plan.webhdfs()
    for home in hdfs.children("/user"):
        base = f"/user/{home['pathSuffix']}/.knitDeps/apps"
        for cluster in hdfs.children(base):
            for app in hdfs.children(f"{base}/{cluster['pathSuffix']}"):
                yield f"{base}/{cluster['pathSuffix']}/{app['pathSuffix']}"


def wait_for_rest(plan: Plan, seconds: float = 15.0) -> list[str]:
    """Waits until nothing is left, and returns what is after that time.

    An application that has just ended takes a moment to be cleaned up on its nodes.
    """
    deadline = time.monotonic() + seconds
    while True:
        lines = leftovers(plan)
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(0.3)
