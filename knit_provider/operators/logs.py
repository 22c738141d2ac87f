"""``KnitLogsOperator``: an application's logs in the task's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import BaseOperator

from knit_provider.hooks.knit import KnitHook
from knit_provider.links.knit import YarnApplicationLink, push
from knit_provider.operators.arguments import application_id, whole
from knit_provider.operators.watching import PERMANENT

# What XComs are for: a look, not an archive.
RETURNED_CHARACTERS = 48 * 1024


class KnitLogsOperator(BaseOperator):
    """Writes the logs of a YARN application of any type, running or ended, into the task's log.

    Args:
        app_id: YARN application id; may be a template.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``).
        max_bytes: how much goes into the task's log (default 64 MiB).
        tail_lines: how many of the last lines of each container's stderr are returned (default 20).

    Returns:
        ``{container id: last lines of stderr}``, up to 48 KiB in all.
    """

    template_fields: Sequence[str] = ("app_id", "yarn_conn_id", "max_bytes")
    operator_extra_links = (YarnApplicationLink(),)
    ui_color = "#f4e9b8"

    def __init__(
        self,
        *,
        app_id: str,
        yarn_conn_id: str | None = KnitHook.default_conn_name,
        max_bytes: int | str = 64 * 1024 * 1024,
        tail_lines: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.app_id = app_id
        self.yarn_conn_id = yarn_conn_id
        self.max_bytes = max_bytes
        self.tail_lines = tail_lines

    def execute(self, context: Mapping[str, Any]) -> dict[str, str]:
        """Write them.

        Raises:
            AirflowFailException: for what no retry can mend.
            ApplicationNotFound: nobody knows the application.
            KnitError: the logs cannot be had now.
        """
        try:
            return self._write(context)
        except PERMANENT as e:
            raise AirflowFailException(str(e)) from e

    def _write(self, context: Mapping[str, Any]) -> dict[str, str]:
        from knit_provider.operators.task_log import TaskLog

        app_id = application_id(self.app_id)
        lines = TaskLog(
            self.log.info,
            tail_lines=whole(self.tail_lines, "tail_lines"),
            max_bytes=whole(self.max_bytes, "max_bytes"),
            of_any_type=True,
        )
        hook = KnitHook(self.yarn_conn_id)
        with hook.get_conn() as conn:
            push(context, hook.tracking_url(app_id))
            app = conn.attach(app_id)
            try:
                for chunk in app.iter_logs():
                    lines.add(chunk)
            finally:
                lines.close()
        found: dict[str, str] = {}
        left = RETURNED_CHARACTERS
        for container_id in lines.containers:
            found[container_id] = "\n".join(lines.tail(container_id))[-left:] if left > 0 else ""
            left -= len(found[container_id])
        return found
