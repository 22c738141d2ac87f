"""Small DAGs of one task each, for what may happen to a task."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from knit_provider.operators.knit import KnitStartOperator

with DAG("fails", schedule=None):
    KnitStartOperator(
        task_id="job",
        command="echo this goes to stdout; echo the disk of doom is full >&2; exit 3",
        num_containers=2,
        max_restarts=0,
    )

with DAG("waits", schedule=None, params={"gate": "/nowhere"}):
    KnitStartOperator(
        task_id="job",
        app_name="waits-{{ run_id }}",
        command='echo waiting; while [ ! -e "$GATE" ]; do sleep 0.3; done; echo the gate is open',
        envvars={"GATE": "{{ params.gate }}"},
        retries=1,
        retry_delay=timedelta(seconds=0),
    )

with DAG("times_out", schedule=None):
    KnitStartOperator(
        task_id="job",
        app_name="times_out-{{ run_id }}",
        command="sleep 600",
        execution_timeout=timedelta(seconds=15),
    )
