"""What Airflow's pages show of the provider: the connection's form, a run, a task's log, the link."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from devtools.airflow_server import AirflowServer
from devtools.screenshots.browser import Browser, NotShown, until
from devtools.yarn_connection import USER, yarn_connection
from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["To be, or not to be, that is the question", "whether 'tis nobler in the mind to suffer", "to sleep, to dream"]


def look_at_airflow(cluster: LocalCluster, home: Path, pictures: Path) -> None:
    """Run the word count in an Airflow of its own and look at all pages that the provider has to do with."""
    home.mkdir(parents=True, exist_ok=True)
    server = AirflowServer(
        home, {"examples": ROOT / "example_dags"}, environment=cluster.env(), progress=lambda line: print(line)
    )
    print("Airflow comes up ...", flush=True)
    with server, Browser(pictures) as browser:
        connection = yarn_connection(cluster)
        connection["extra"].update({"queue": "default", "bridge": "auto"})
        server.api.add_connection("yarn_default", connection)
        _connections(browser, server)
        run_id = _word_count(server, cluster, home)
        _run(browser, server, run_id)


def form() -> dict[str, Any]:
    """What the provider says of its connection's form."""
    (described,) = get_provider_info()["connection-types"]  # type: ignore[misc]
    return dict(described)


def _connections(browser: Browser, server: AirflowServer) -> None:
    browser.open(f"{server.url}/connections")
    browser.sees("yarn_default")
    browser.click("button", "Add Connection")
    described = form()
    browser.choose("[role=dialog] input[role=combobox]", described["hook-name"])
    browser.sees(*described["ui-field-behaviour"]["relabeling"].values())
    browser.shoot("connection-form", height=1200)
    # Opening this closes what is open.
    browser.click("button", "Extra Fields")
    for name, field in described["conn-fields"].items():
        browser.sees(field["label"], field["description"])
        print(f"connection form: {name} is {field['label']!r}", flush=True)
    browser.shoot("connection-extras", height=2600)
    browser.open(f"{server.url}/connections")
    browser.click("button", "Test Connection")
    browser.sees("Test Connection Successful", "ACTIVE")
    browser.shoot("connection-test", height=500)


def _word_count(server: AirflowServer, cluster: LocalCluster, folder: Path) -> str:
    base = f"/user/{USER}/word-count"
    with Knit(user=USER, hadoop_conf_dir=str(cluster.conf_dir)) as knit:
        for number, text in enumerate(TEXTS):
            path = folder / f"{number}.txt"
            path.write_text(text + "\n")
            knit.connection.files.put(path, f"{base}/input/{number}.txt")
    server.api.wait_for_dag("word_count", 120)
    conf = {"input": f"{base}/input", "output": f"{base}/output", "containers": 2, "top": 3}
    run_id = server.api.trigger("word_count", conf)
    state = server.api.wait_for_run("word_count", run_id)
    if state != "success":
        raise NotShown(f"the word count is {state}:\n{server.api.log('word_count', run_id, 'count')}")
    return run_id


def _run(browser: Browser, server: AirflowServer, run_id: str) -> None:
    run = f"{server.url}/dags/word_count/runs/{quote(run_id, safe='')}"
    browser.open(run)
    browser.sees("word_count", "count", "merge")
    browser.open(f"{run}/tasks/count")
    browser.sees("default 0 stderr (container_", "default 1 stderr (container_")
    # A container that writes again after another one has a second group.
    browser.click("span", "default 1 stderr (container_")
    browser.sees("container 1 of 2 counts")
    browser.shoot("task-log")
    browser.open(f"{run}/tasks/count/details")
    browser.sees("Extra Links", "YARN application")
    app_id = str(server.api.xcom("word_count", run_id, "count"))
    link = browser.find("a", "YARN application").get_attribute("href") or ""
    if not link.endswith(f"/cluster/app/{app_id}"):
        raise NotShown(f"the link of the task leads to {link!r}, not to {app_id}")
    browser.shoot("link")
    browser.open(link)
    browser.sees("word_count.count", app_id)
    until(lambda: "SUCCEEDED" in browser.text(), "the application's final status")
    browser.shoot("yarn-application")
