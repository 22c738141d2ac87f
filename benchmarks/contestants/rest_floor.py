"""The floor: the bare command as the ApplicationMaster's own container, submitted by the RM's REST interface.

No JVM anywhere, no file to localize, one container where everybody else needs two. Nothing that runs a command through
YARN can be faster; what it lacks is everything else (more than one container, an outcome, a life of its own). Logs
are fetched by Hadoop's own command, ``yarn logs``.
"""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import urllib.request
import xml.etree.ElementTree as ET
from typing import Any

from benchmarks.contestants.protocol import Contestant, poll_until, serve

_ENDED = ("FINISHED", "FAILED", "KILLED")


class RestFloor(Contestant):
    """Two HTTP requests for a start, one for each look at the state."""

    many = False

    def __init__(self) -> None:
        conf = ET.parse(os.path.join(os.environ["HADOOP_CONF_DIR"], "yarn-site.xml"))
        values = {p.findtext("name"): p.findtext("value") for p in conf.iter("property")}
        self._apps = f"http://{values['yarn.resourcemanager.webapp.address']}/ws/v1/cluster/apps"

    def start(self, command: str, *, instances: int, memory: int, name: str) -> str:
        if instances != 1:
            raise ValueError("one container is all it has")
        app_id = str(self._call("POST", "/new-application", {})["application-id"])
        self._call(
            "POST",
            "",
            {
                "application-id": app_id,
                "application-name": name,
                "application-type": "bench",
                "am-container-spec": {"commands": {"command": f"{command} 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr"}},
                "max-app-attempts": 1,
                "resource": {"memory": memory, "vCores": 1},
            },
        )
        return app_id

    def wait(self, app_id: str, timeout: float) -> bool:
        # It ends as FAILED by design: nobody registered as ApplicationMaster.
        return poll_until(lambda: self._call("GET", f"/{app_id}/state")["state"] in _ENDED, timeout)

    def logs(self, app_id: str) -> str:
        command = ["yarn", "logs", "-applicationId", app_id, "-log_files", "stdout"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._apps}{path}?user.name={getpass.getuser()}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return dict(json.loads(response.read() or b"{}"))


if __name__ == "__main__":
    serve(RestFloor())
