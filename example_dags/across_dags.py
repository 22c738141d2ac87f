"""One DAG starts an application and goes on; another waits for it, reads its logs, and needs no worker meanwhile."""

from __future__ import annotations

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

from knit_provider.operators.knit import KnitLogsOperator, KnitStartOperator, KnitWaitOperator
from knit_provider.sensors.knit import KnitSensor

with DAG("starts_a_job", schedule=None, tags=["knit", "example"]):
    start = KnitStartOperator(task_id="start", command="sleep 5; echo done", wait_for_completion=False)
    start >> TriggerDagRunOperator(
        task_id="tell", trigger_dag_id="follows_a_job", conf={"app_id": "{{ ti.xcom_pull(task_ids='start') }}"}
    )

with DAG("follows_a_job", schedule=None, tags=["knit", "example"], params={"app_id": ""}):
    succeeded = KnitSensor(
        task_id="succeeded", app_id="{{ params.app_id }}", deferrable=True, end_from_trigger=True, timeout=3600
    )
    # Any application will do, Spark's and MapReduce's too. Unlike the sensor this writes its logs.
    wait = KnitWaitOperator(task_id="wait", app_id="{{ params.app_id }}", deferrable=True)
    logs = KnitLogsOperator(task_id="logs", app_id="{{ params.app_id }}", max_bytes=100_000)
    succeeded >> wait >> logs
