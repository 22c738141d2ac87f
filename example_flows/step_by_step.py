"""An application started, waited for, read and killed by tasks of their own.

    python example_flows/step_by_step.py

Between start and wait nobody watches the application, so the flow has a hook: it kills what a cancelled or crashed run
leaves behind.
"""

from __future__ import annotations

from prefect import flow

from knit_provider.prefect import (
    fetch_yarn_logs,
    kill_yarn_app,
    kill_yarn_apps_on_cancellation,
    start_yarn_app,
    wait_for_yarn_app,
)

kill_what_is_left = kill_yarn_apps_on_cancellation("yarn")


@flow(on_cancellation=[kill_what_is_left], on_crashed=[kill_what_is_left])
def step_by_step(credentials: str = "yarn") -> dict[str, str]:
    """Serve something in one application while another one works, and end the first."""
    server = start_yarn_app(credentials, "echo serving; exec sleep 3600", app_name="serve")
    worker = start_yarn_app(credentials, ["sh", "-c", "echo working >&2; echo done"], app_name="work")
    wait_for_yarn_app(credentials, worker, timeout_seconds=600)
    logs = fetch_yarn_logs(credentials, worker)
    kill_yarn_app(credentials, server, "its work is done")
    return {"server": server, "worker": worker, "said": "".join(files.get("stdout", "") for files in logs.values())}


if __name__ == "__main__":
    print(step_by_step())
