"""``run_yarn_app``: an application from start to end, as a flow."""

from __future__ import annotations

from typing import Any

from prefect import flow, runtime

from knit_provider.prefect.credentials import YarnCredentials
from knit_provider.prefect.hooks import kill_apps_of
from knit_provider.prefect.jobs import job_of


def _run_name() -> str:
    given = runtime.flow_run.parameters or {}
    return f"yarn-{given.get('app_name') or 'app'}"


@flow(name="run-yarn-app", flow_run_name=_run_name, on_cancellation=[kill_apps_of], on_crashed=[kill_apps_of])
def run_yarn_app(
    credentials: YarnCredentials | str | None,
    command: str | list[str],
    app_name: str | None = None,
    num_containers: int = 1,
    virtual_cores: int = 1,
    memory: int | str = 128,
    env: str | None = None,
    envvars: dict[str, str] | None = None,
    files: list[str] | dict[str, str] | None = None,
    yarn_queue: str | None = None,
    container_resources: dict[str, int] | None = None,
    tags: list[str] | None = None,
    max_restarts: int = 0,
    allow_failures: bool = False,
    lifetime: int | str | None = None,
    max_attempts: int = 1,
    timeout_seconds: float | None = None,
    poll_interval_seconds: float = 10.0,
    get_logs: bool = True,
    log_tail_lines: int = 20,
    on_kill_action: str = "kill",
    reattach: bool = True,
) -> Any:
    """Start an application, wait for its end and return its result.

    Args:
        credentials: the cluster: a block, the name of a saved one (which a deployment can carry as a parameter), or
            None for the process's own configuration.
        command: and all others: as the fields of :class:`~knit_provider.prefect.jobs.YarnJob`.

    Returns:
        What the containers wrote to ``$KNIT_RESULT``: the value of one, a list by index of several, or None.

    Raises:
        ApplicationFailed, ApplicationKilled, WaitTimeout, ApplicationNotFound: as
            :meth:`YarnJobRun.wait_for_completion <knit_provider.prefect.job_run.YarnJobRun.wait_for_completion>`.
    """
    job = job_of(
        credentials,
        command=command,
        app_name=app_name,
        num_containers=num_containers,
        virtual_cores=virtual_cores,
        memory=memory,
        env=env,
        envvars=envvars,
        files=files,
        yarn_queue=yarn_queue,
        container_resources=container_resources,
        tags=tags,
        max_restarts=max_restarts,
        allow_failures=allow_failures,
        lifetime=lifetime,
        max_attempts=max_attempts,
        timeout_seconds=timeout_seconds,
        poll_interval_seconds=poll_interval_seconds,
        get_logs=get_logs,
        log_tail_lines=log_tail_lines,
        on_kill_action=on_kill_action,
        reattach=reattach,
    )
    run = job.trigger()
    run.wait_for_completion()
    return run.fetch_result()
