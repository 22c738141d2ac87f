"""The same job as in ``jobs.py``, waited for in the triggerer."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from knit_provider.operators import watching
from knit_provider.operators.knit import KnitStartOperator

# A minute is right in production; a test need not wait for it.
watching.DEFERRAL_MARGIN = 3.0

GATED = 'echo waiting; while [ ! -e "$GATE" ]; do sleep 0.3; done; echo the gate is open'

with DAG("deferred", schedule=None, params={"gate": "/nowhere"}):
    KnitStartOperator(
        task_id="job",
        app_name="deferred-{{ run_id }}",
        command=GATED + "; echo '{\"rows\": 3}' > $KNIT_RESULT",
        envvars={"GATE": "{{ params.gate }}"},
        deferrable=True,
        poll_interval=2,
        retries=1,
        retry_delay=timedelta(seconds=0),
    )

for seconds in (12, 20):
    with DAG(f"deferred_for_{seconds}", schedule=None):
        KnitStartOperator(
            task_id="job",
            app_name=f"deferred_for_{seconds}-{{{{ run_id }}}}",
            command="sleep 600",
            deferrable=True,
            poll_interval=2,
            execution_timeout=timedelta(seconds=seconds),
        )
