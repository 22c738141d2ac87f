"""The button beside a task that opens its application in the ResourceManager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class YarnApplicationLink(BaseOperatorLink):
    """Opens the ResourceManager's page about the application; there as soon as the application has an id."""

    name = "YARN application"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """What :func:`push` stored. Airflow calls this on the worker, when the task ends or defers."""
        try:
            from airflow.providers.common.compat.sdk import XCom

            return str(XCom.get_value(ti_key=ti_key, key=self.xcom_key) or "")
        except Exception:
            # A link is not worth a task; without an XCom there is none.
            return ""


def push(context: Mapping[str, Any], url: str) -> None:
    """Store the link now: Airflow itself would do so only at the task's end."""
    ti = context.get("ti")
    if ti is not None and url:
        ti.xcom_push(key=YarnApplicationLink().xcom_key, value=url)
