"""A service that another task needs: it is ended when that task is done, whether it failed or not."""

from __future__ import annotations

from airflow.sdk import dag, task

from knit_provider.operators.knit import KnitKillOperator, KnitStartOperator


@dag(schedule=None, tags=["knit", "example"], params={"fail": False})
def kill_on_failure() -> None:
    # YARN ends it after an hour even if nobody else can.
    service = KnitStartOperator(task_id="service", command="sleep 3600", wait_for_completion=False, lifetime="1 h")

    @task
    def use(app_id: str, params: dict[str, bool]) -> None:
        print(f"working with {app_id}")
        if params["fail"]:
            raise ValueError("asked to fail")

    # The XCom app_id is there as soon as there is an application, even if the task that started it fails later.
    end = KnitKillOperator(task_id="end", app_id="{{ ti.xcom_pull(task_ids='service', key='app_id') }}")
    service >> use(service.output) >> end.as_teardown(setups=service)


kill_on_failure()
