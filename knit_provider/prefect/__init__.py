"""Prefect: blocks, tasks, a flow, a hook and a worker for applications on YARN.

Prefect imports this package when it looks for collections (entry point ``prefect.collections``), in its command line
and in its server; so nothing here imports more of knit-provider than names before it is used.
"""

from knit_provider.prefect.credentials import YarnCredentials
from knit_provider.prefect.flows import run_yarn_app
from knit_provider.prefect.hooks import kill_yarn_apps_on_cancellation
from knit_provider.prefect.job_run import YarnJobRun
from knit_provider.prefect.jobs import YarnJob
from knit_provider.prefect.tasks import (
    build_yarn_env,
    fetch_yarn_logs,
    kill_yarn_app,
    start_yarn_app,
    wait_for_yarn_app,
)
from knit_provider.prefect.worker import YarnWorker

__all__ = [
    "YarnCredentials",
    "YarnJob",
    "YarnJobRun",
    "YarnWorker",
    "build_yarn_env",
    "fetch_yarn_logs",
    "kill_yarn_app",
    "kill_yarn_apps_on_cancellation",
    "run_yarn_app",
    "start_yarn_app",
    "wait_for_yarn_app",
]
