"""Tasks that start, wait for, read the logs of and kill applications on YARN, and that build environments for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE

from knit_provider.prefect.credentials import YarnCredentials, client_of
from knit_provider.prefect.job_run import YarnJobRun
from knit_provider.prefect.jobs import job_of

LOG_BYTES = 10 * 1024 * 1024


def _start_name() -> str:
    given = runtime.task_run.parameters or {}
    return f"yarn-{given.get('app_name') or 'app'}"


# What these tasks do is not their return value, so Prefect must not take the value for the deed (NO_CACHE).
@task(name="start-yarn-app", task_run_name=_start_name, cache_policy=NO_CACHE)
def start_yarn_app(
    credentials: YarnCredentials | str | None,
    command: str | Sequence[str],
    app_name: str | None = None,
    num_containers: int = 1,
    virtual_cores: int = 1,
    memory: int | str = 128,
    env: str | None = None,
    envvars: Mapping[str, str] | None = None,
    files: Sequence[str] | Mapping[str, str] | None = None,
    yarn_queue: str | None = None,
    container_resources: Mapping[str, int] | None = None,
    tags: Sequence[str] | None = None,
    max_restarts: int = 0,
    allow_failures: bool = False,
    lifetime: int | str | None = None,
    max_attempts: int = 1,
    reattach: bool = True,
) -> str:
    """Start an application and return its id once YARN has accepted it.

    A retry, and the same task in the flow run run again, find the application that an earlier try started and return
    its id. Nobody waits for it: give the flow :func:`kill_yarn_apps_on_cancellation
    <knit_provider.prefect.hooks.kill_yarn_apps_on_cancellation>`, or wait with :func:`wait_for_yarn_app`.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        command: and all others: as the fields of :class:`~knit_provider.prefect.jobs.YarnJob`.

    Returns:
        The YARN application id.
    """
    job = job_of(
        credentials,
        command=command if isinstance(command, str) else list(command),
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
        reattach=reattach,
    )
    return job.trigger().app_id


@task(name="wait-for-yarn-app", task_run_name="wait-for-{app_id}", cache_policy=NO_CACHE)
def wait_for_yarn_app(
    credentials: YarnCredentials | str | None,
    app_id: str,
    timeout_seconds: float | None = None,
    poll_interval_seconds: float = 10.0,
    get_logs: bool = True,
    log_tail_lines: int = 20,
    on_kill_action: str = "kill",
) -> str:
    """Wait for the end of any YARN application, with its logs in the run's log.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        app_id: YARN application id.
        timeout_seconds: a wait that takes longer kills the application; None (default) waits to the end.
        poll_interval_seconds: longest time between two looks (default 10).
        get_logs: write the containers' logs into the run's log (default True).
        log_tail_lines: lines of the failing container's stderr in the error and the summary (default 20).
        on_kill_action: what a wait that is cancelled, crashes or times out does: ``"kill"`` (default) or ``"keep"``.

    Returns:
        YARN's final status, ``"SUCCEEDED"``.

    Raises:
        ApplicationFailed, ApplicationKilled, WaitTimeout, ApplicationNotFound: as
            :meth:`YarnJobRun.wait_for_completion <knit_provider.prefect.job_run.YarnJobRun.wait_for_completion>`.
    """
    run = YarnJobRun(
        credentials,
        app_id,
        timeout_seconds=timeout_seconds,
        poll_interval_seconds=poll_interval_seconds,
        get_logs=get_logs,
        log_tail_lines=log_tail_lines,
        on_kill_action=on_kill_action,
    )
    return run.wait_for_completion()


@task(name="fetch-yarn-logs", task_run_name="logs-of-{app_id}", cache_policy=NO_CACHE)
def fetch_yarn_logs(
    credentials: YarnCredentials | str | None, app_id: str, max_bytes: int = LOG_BYTES
) -> dict[str, dict[str, Any]]:
    """The logs of all containers of any YARN application: live, or aggregated once it has ended.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        app_id: YARN application id.
        max_bytes: of each file, the last so many bytes (default 10 MiB).

    Returns:
        ``{container_id: {"id", "nodeId", "service", "index", "stdout", "stderr", other files}}``, plain text.
    """
    from knit_provider.yarn.logs import SpooledLog
    from knit_provider.yarn.units import check_int

    limit = check_int(max_bytes, "max_bytes", minimum=1)
    found = YarnJobRun(credentials, app_id).logs()

    def cut(value: Any) -> Any:
        if isinstance(value, SpooledLog):
            with value.path.open("rb") as f:
                f.seek(max(0, value.path.stat().st_size - limit))
                return f.read().decode("utf-8", "replace")
        return value[-limit:] if isinstance(value, str) else value

    return {container: {name: cut(value) for name, value in files.items()} for container, files in found.items()}


@task(name="kill-yarn-app", task_run_name="kill-{app_id}", cache_policy=NO_CACHE)
def kill_yarn_app(
    credentials: YarnCredentials | str | None, app_id: str, diagnostics: str = "killed by a Prefect flow"
) -> bool:
    """Kill any YARN application and wait up to 10 s for its end.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        app_id: YARN application id.
        diagnostics: why, for the application's report.

    Returns:
        True only if it ended in state KILLED; False if it had ended otherwise.
    """
    return YarnJobRun(credentials, app_id).kill(diagnostics)


@task(name="build-yarn-env", cache_policy=NO_CACHE)
def build_yarn_env(
    credentials: YarnCredentials | str | None,
    source: str | None = None,
    packages: Sequence[str] | None = None,
    channels: Sequence[str] | None = None,
    env_name: str | None = None,
    format: str = "tar.gz",  # noqa: A002 - as everywhere
    ignore_editable: bool = False,
    ignore_missing: bool = False,
    public: bool = False,
    allow_secrets: Sequence[str] | None = None,
    upload_always: bool = False,
) -> str:
    """Build a Python environment, put it into HDFS and return its URI, for the ``env`` of jobs.

    What is built, or in HDFS, already is neither built nor uploaded again: then the task takes a moment.

    Args:
        credentials: the cluster: a block, the name of a saved one, or None for the process's own configuration.
        source: ``conda://PREFIX_OR_NAME``, ``venv://PREFIX``, the path of an ``environment.yml``, ``requirements.txt``,
            ``pyproject.toml``, ``uv.lock`` or explicit lock file where the flow runs, or a ready archive there.
        packages: conda packages to build it of, in place of a source.
        channels: where the packages come from.
        env_name: what it is called; default after the source.
        format: of the archive: ``tar.gz`` (default), ``tar`` or ``zip``.
        ignore_editable: leave editable installs out in place of refusing them (default False).
        ignore_missing: pack also where a package manager overwrote files (default False).
        public: let everybody read it, unless it holds what looks like a secret (default False).
        allow_secrets: with ``public``, patterns of paths in it that are no secrets.
        upload_always: upload also what is there (default False).

    Returns:
        The ``hdfs://`` URI.

    Raises:
        ConfigurationError: neither or both of source and packages, or one that cannot be used.
        EnvironmentBuildError: it cannot be built.
    """
    # Found when it is called: packing and solving bring heavy libraries with them.
    provide = import_module("knit_provider.environments.provide").provide
    with client_of(credentials) as knit:
        made = provide(
            knit.connection,
            source,
            packages=tuple(packages or ()),
            channels=tuple(channels or ()),
            name=env_name,
            format=format,
            ignore_editable=ignore_editable,
            ignore_missing=ignore_missing,
            public=public,
            allow_secrets=tuple(allow_secrets or ()),
            upload_always=upload_always,
        )
    get_run_logger().info("%s (%.1f MB): %s", made.name, made.size / 1e6, made.uri)
    return str(made.uri)
