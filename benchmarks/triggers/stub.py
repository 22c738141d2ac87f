"""A server that answers as a ResourceManager or a Livy does about jobs that run for ever, and counts what it is asked.

It prints its port, then answers; ``/count`` tells how many requests and bytes there were so far.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

STAMP = 1_700_000_000_000
JOBS = 500
_lock = threading.Lock()
_counted = {"requests": 0, "bytes": 0}


def app(number: int) -> dict[str, object]:
    """An application as the ResourceManager shows it; about as long as a real one."""
    return {
        "id": f"application_{STAMP}_{number:04}",
        "user": "etl",
        "name": f"etl.job_{number}",
        "queue": "default",
        "state": "RUNNING",
        "finalStatus": "UNDEFINED",
        "progress": 50.0,
        "trackingUI": "ApplicationMaster",
        "trackingUrl": f"http://rm:8088/proxy/application_{STAMP}_{number:04}/",
        "diagnostics": "",
        "clusterId": STAMP,
        "applicationType": "knit",
        "applicationTags": "airflow-task-0123456789abcdef0123456789abcdef-0,knit-spec-0123456789abcdef",
        "startedTime": STAMP,
        "finishedTime": 0,
        "elapsedTime": 60_000,
        "amContainerLogs": f"http://node:8042/node/containerlogs/container_{STAMP}_{number:04}_01_000001/etl",
        "amHostHttpAddress": "node:8042",
        "amRPCAddress": "node:40000",
        "allocatedMB": 2048,
        "allocatedVCores": 2,
        "runningContainers": 2,
        "logAggregationStatus": "RUNNING",
    }


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One request."""
        parts = urlsplit(self.path)
        name = parts.path.rstrip("/").rsplit("/", 1)[-1]
        counts = True
        if parts.path == "/count":
            counts = False
            answer: object = dict(_counted)
        elif parts.path.startswith("/batches/"):
            number = int(parts.path.split("/")[2])
            answer = {"id": number, "state": "running", "log": [], "appId": None, "appInfo": {}}
        elif name == "apps":
            answer = {"apps": {"app": [app(number) for number in range(1, JOBS + 1)]}}
        elif name.startswith("application_"):
            answer = {"app": app(int(name.rsplit("_", 1)[1]))}
        else:
            answer = {}
        body = json.dumps(answer).encode()
        if counts:
            with _lock:
                _counted["requests"] += 1
                _counted["bytes"] += len(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as there are triggers."""

    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
