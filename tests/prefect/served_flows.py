"""Flows that a runner serves while a test cancels and kills them."""

from __future__ import annotations

from prefect import flow, serve

from knit_provider.prefect import (
    YarnCredentials,
    YarnJob,
    kill_yarn_apps_on_cancellation,
    start_yarn_app,
    wait_for_yarn_app,
)

kill_what_is_left = kill_yarn_apps_on_cancellation("yarn")


@flow
def in_the_main_thread(command: str) -> str:
    """Wait where Prefect's signals arrive; no hook."""
    return (
        YarnJob(credentials=YarnCredentials.load("yarn"), command=command, app_name="main", poll_interval_seconds=1)
        .trigger()
        .wait_for_completion()
    )


@flow(on_cancellation=[kill_what_is_left], on_crashed=[kill_what_is_left])
def in_a_thread(command: str) -> str:
    """Wait where no signal arrives."""
    app_id = start_yarn_app("yarn", command, app_name="thread")
    return wait_for_yarn_app.submit("yarn", app_id, poll_interval_seconds=1).result()


if __name__ == "__main__":
    serve(in_the_main_thread.to_deployment("served"), in_a_thread.to_deployment("served"))
