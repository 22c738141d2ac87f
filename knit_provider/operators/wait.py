"""``KnitWaitOperator``: waits for an application that somebody else started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from knit_provider.operators.arguments import application_id
from knit_provider.operators.watching import WatchingOperator
from knit_provider.yarn.errors import KnitError

if TYPE_CHECKING:
    from knit_provider.yarn.application import Application
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport


class KnitWaitOperator(WatchingOperator):
    """Waits for the end of a YARN application of any type (Spark, Flink, MapReduce too); fails if that fails.

    The logs go into the task's log as they do with
    :class:`~knit_provider.operators.knit.KnitStartOperator`, whose arguments for waiting and logs are the same here.
    The application is not this task's own, so it goes on when the task is ended: ``on_kill_action`` is ``"keep"``.

    Args:
        app_id: YARN application id; may be a template.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``).
        on_kill_action: ``"keep"`` (default) or ``"kill"``.
        **kwargs: ``deferrable``, ``poll_interval``, ``poll_retry_timeout``, ``pending_timeout``, ``get_logs``,
            ``logging_interval``, ``log_tail_lines``, ``log_max_bytes``, ``skip_on_exit_code``, and those of every task.

    Returns:
        The final status, ``"SUCCEEDED"``. XComs as of the start operator.
    """

    template_fields: Sequence[str] = ("app_id", "yarn_conn_id")

    def __init__(self, *, app_id: str, on_kill_action: str = "keep", **kwargs: Any) -> None:
        super().__init__(on_kill_action=on_kill_action, **kwargs)
        self.app_id = app_id

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Wait.

        Raises:
            AirflowFailException: for what no retry can mend.
            ApplicationFailed: the application did not succeed.
        """
        with self._connected() as (hook, conn):
            app_id = application_id(self.app_id)
            app = conn.attach(app_id)
            self._found(hook, app_id, context)
            return self._wait(context, hook, conn, app, attached=True)

    def _stored_id(self, context: Mapping[str, Any], conn: Knit) -> str | None:
        return application_id(self.app_id)

    def _of_any_type(self, app: Application) -> bool:
        try:
            return app.report().application_type.lower() not in ("knit", "")
        except KnitError:
            return True

    def _outcome(self, app: Application, report: ApplicationReport, result: Any) -> Any:
        return report.final_status
