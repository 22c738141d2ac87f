"""What Prefect's pages show: the blocks' forms, a run with its logs and artifacts, the work pool's form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from devtools.prefect_server import PrefectServer
from devtools.screenshots.browser import Browser, NotShown
from devtools.yarn_connection import USER
from knit_provider.localcluster import LocalCluster

ROOT = Path(__file__).resolve().parents[2]
SAVE = """
import sys
from knit_provider.prefect import YarnCredentials
host, port, conf = sys.argv[1:]
YarnCredentials(host=host, port=int(port), login={user!r}, hadoop_conf_dir=conf).save("yarn", overwrite=True)
"""


def look_at_prefect(cluster: LocalCluster, home: Path, pictures: Path) -> None:
    """Run an example in a Prefect of its own and look at all pages that knit-provider has to do with."""
    server = PrefectServer(home, {"PREFECT_SERVER_UI_ENABLED": "true"})
    print("Prefect comes up ...", flush=True)
    with server, Browser(pictures) as browser:
        ui = server.url.removesuffix("/api")
        _run(server, *server.command("block", "register", "-m", "knit_provider.prefect"))
        host, _, port = cluster.rm_web.rpartition(":")
        _run(server, sys.executable, "-c", SAVE.format(user=USER), host, port, str(cluster.conf_dir))
        _run(server, *server.command("work-pool", "create", "hadoop", "--type", "yarn"))
        _run(server, sys.executable, str(ROOT / "example_flows" / "one_job.py"))
        _blocks(browser, ui)
        _flow_run(browser, server, ui)
        _work_pool(browser, ui)


def _run(server: PrefectServer, *command: str) -> None:
    done = subprocess.run(command, env=server.env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise NotShown(
            f"{' '.join(command[:6])} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        )


def _ask(server: PrefectServer, path: str, **body: Any) -> list[dict[str, Any]]:
    answer = requests.post(f"{server.url}{path}", json=body, timeout=30)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def _blocks(browser: Browser, ui: str) -> None:
    browser.open(f"{ui}/blocks/catalog/yarn-credentials/create")
    browser.sees("ResourceManager", "User", "Hadoop properties", "Kerberos principal", "Credential cache")
    browser.shoot("yarn-credentials", height=1300)
    browser.open(f"{ui}/blocks/catalog/yarn-job/create")
    browser.sees("Credentials", "Command", "Containers", "Python environment", "Environment variables")
    browser.shoot("yarn-job", height=1300)


def _flow_run(browser: Browser, server: PrefectServer, ui: str) -> None:
    (flow_run,) = _ask(server, "/flow_runs/filter", flow_runs={"name": {"like_": "yarn-sum-of-numbers"}})
    browser.open(f"{ui}/runs/flow-run/{flow_run['id']}")
    browser.sees("yarn-sum-of-numbers", "default 0: container 0 adds up to", "is RUNNING")
    browser.shoot("flow-run")
    artifacts = {a["key"]: a for a in _ask(server, "/artifacts/filter")}
    for key, words in (
        ("yarn-sum-of-numbers", "application_"),
        ("yarn-sum-of-numbers-progress", "Progress of application_"),
        ("yarn-sum-of-numbers-summary", "exit code"),
    ):
        browser.open(f"{ui}/artifacts/artifact/{artifacts[key]['id']}")
        browser.sees(words)
    browser.shoot("summary")


def _work_pool(browser: Browser, ui: str) -> None:
    browser.open(f"{ui}/work-pools/work-pool/hadoop/edit")
    browser.sees("Python environment", "Grace at cancellation")
    browser.shoot("work-pool", height=1300)
