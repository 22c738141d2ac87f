"""Applications for tests, submitted by REST: one shell command in the ApplicationMaster's place, no Java of ours."""

from __future__ import annotations

import base64
import getpass
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import requests

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.rest import Session
from knit_provider.yarn.rest.yarn_api import YARNAPI

T = TypeVar("T")


def api_of(cluster: LocalCluster, user: str = "alice", **kwargs: object) -> YARNAPI:
    """The cluster's REST interface as a user."""
    return YARNAPI(session=session_of(cluster, user, **kwargs))


def session_of(cluster: LocalCluster, user: str = "alice", **kwargs: object) -> Session:
    """A session with the cluster as a user."""
    return Session(HadoopConf.load(hadoop_conf_dir=cluster.conf_dir), user=user, **kwargs)  # type: ignore[arg-type]


def superuser(cluster: LocalCluster, method: str, path: str, op: str, **params: object) -> None:
    """A request to WebHDFS by the filesystem's superuser, who is whoever runs the daemons."""
    answer = requests.request(
        method,
        f"http://{cluster.namenode_web}/webhdfs/v1{path}",
        params={"op": op, "user.name": getpass.getuser(), **params},
        timeout=30,
    )
    answer.raise_for_status()


def submit_shell(
    cluster: LocalCluster,
    command: str,
    user: str = "alice",
    *,
    name: str = "test",
    app_type: str = "test",
    tags: Sequence[str] = (),
    queue: str = "default",
    memory: int = 128,
) -> str:
    """Run a bash script in one container, which is an application of its own; returns the application id.

    YARN calls it FAILED at its end, since nothing registers as its ApplicationMaster.
    """
    with session_of(cluster, user) as session:
        app_id: str = session.request("POST", "cluster/apps/new-application").json()["application-id"]
        # Base64, because a NodeManager rewrites what it finds in commands.
        script = base64.b64encode(command.encode()).decode()
        session.request(
            "POST",
            "cluster/apps",
            json={
                "application-id": app_id,
                "application-name": name,
                "application-type": app_type,
                "application-tags": {"tag": list(tags)},
                "queue": queue,
                "max-app-attempts": 1,
                "resource": {"memory": memory, "vCores": 1},
                "am-container-spec": {
                    "commands": {
                        "command": f"echo {script} | base64 -d > script && exec bash ./script "
                        "1><LOG_DIR>/stdout 2><LOG_DIR>/stderr"
                    }
                },
            },
            ok=(202,),
        )
        return app_id


def until(ask: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}, last seen: {answer!r}"
        time.sleep(0.2)
