"""One application for each day, two at a time; what each wrote to ``$KNIT_RESULT`` is added up."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from knit_provider.operators.knit import KnitStartOperator

# Jinja would take bash's own ${#DAY} for a comment.
COUNT = """
echo "counting $DAY"
rows=$(printf %s "$DAY" | wc -c)
echo "{\\"day\\": \\"$DAY\\", \\"rows\\": $rows}" > "$KNIT_RESULT"
"""


@dag(schedule=None, tags=["knit", "example"])
def mapped_jobs() -> None:
    count = KnitStartOperator.partial(
        task_id="count",
        command=COUNT,
        max_active_tis_per_dagrun=2,
        map_index_template="{{ task.envvars['DAY'] }}",
    ).expand(envvars=[{"DAY": day} for day in ("monday", "tuesday", "friday")])

    @task
    def total(results: list[dict[str, Any]]) -> int:
        return sum(result["rows"] for result in results)

    total(count.output["result"])


mapped_jobs()
