"""A job that takes hours, and a worker only for seconds: the task waits in the triggerer."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from knit_provider.operators.knit import KnitStartOperator

with DAG("deferrable_job", schedule=None, tags=["knit", "example"], params={"seconds": 5}):
    KnitStartOperator(
        task_id="long_job",
        command="for i in $(seq {{ params.seconds }}); do echo second $i; sleep 1; done",
        deferrable=True,
        # A worker comes by for the logs this often; without it they come all at the end.
        logging_interval=60,
        # YARN itself ends the application 10 minutes later if everybody else is gone by then.
        execution_timeout=timedelta(hours=6),
        # Not to wait for ever in a queue that is full.
        pending_timeout=3600,
        retries=2,
    )
