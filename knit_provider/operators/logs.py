"""``KnitLogsOperator``: an application's logs in the task's log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knit_provider.operators.application import ApplicationOperator
from knit_provider.operators.arguments import application_id, whole

# What XComs are for: a look, not an archive.
RETURNED_CHARACTERS = 48 * 1024


class KnitLogsOperator(ApplicationOperator):
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

    def __init__(
        self,
        *,
        app_id: str,
        max_bytes: int | str = 64 * 1024 * 1024,
        tail_lines: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.app_id = app_id
        self.max_bytes = max_bytes
        self.tail_lines = tail_lines

    def execute(self, context: Mapping[str, Any]) -> dict[str, str]:
        """Write them.

        Raises:
            AirflowFailException: for what no retry can mend.
            ApplicationNotFound: nobody knows the application.
            KnitError: the logs cannot be had now.
        """
        from knit_provider.operators.task_log import TaskLog

        with self._connected() as (hook, conn):
            app_id = application_id(self.app_id)
            lines = TaskLog(
                self.log.info,
                tail_lines=whole(self.tail_lines, "tail_lines"),
                max_bytes=whole(self.max_bytes, "max_bytes"),
                of_any_type=True,
            )
            self._found(hook, app_id, context)
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
