"""``KnitKillOperator``: ends an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from knit_provider.operators.application import ApplicationOperator
from knit_provider.operators.arguments import application_id, seconds
from knit_provider.yarn.errors import ApplicationNotFound, KnitError


class KnitKillOperator(ApplicationOperator):
    """Ends a YARN application of any type (Spark, Flink, MapReduce too), by REST, and waits until it has ended.

    Args:
        app_id: YARN application id; may be a template.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``).
        ok_if_finished: an application that has ended otherwise before, or that YARN has forgotten, is no failure
            (default True).
        kill_timeout: seconds to wait for its end (default 60).

    Returns:
        True if its state is KILLED, False if it had ended otherwise.

    Example:
        >>> KnitKillOperator(
        ...     task_id="tidy", app_id="{{ ti.xcom_pull(task_ids='start', key='app_id') }}", trigger_rule="one_failed"
        ... )
    """

    template_fields: Sequence[str] = ("app_id", "yarn_conn_id")

    def __init__(
        self,
        *,
        app_id: str,
        ok_if_finished: bool = True,
        kill_timeout: float = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.app_id = app_id
        self.ok_if_finished = ok_if_finished
        self.kill_timeout = kill_timeout

    def execute(self, context: Mapping[str, Any]) -> bool:
        """End it.

        Raises:
            AirflowFailException: for what no retry can mend, another user's application among it.
            KnitError: it has not ended in time, or had ended otherwise and ``ok_if_finished`` is False.
        """
        with self._connected() as (hook, conn):
            app_id = application_id(self.app_id)
            timeout = seconds(self.kill_timeout, "kill_timeout")
            self._found(hook, app_id, context)
            app = conn.application(app_id)
            try:
                killed = app.kill("ended by an Airflow task", timeout=timeout)
                report = app.report()
            except ApplicationNotFound:
                if not self.ok_if_finished:
                    raise
                self.log.info("%s is not known (any more); there is nothing to kill", app_id)
                return False
            if killed:
                self.log.info("%s was killed", app_id)
                return True
            if not report.terminal:
                raise KnitError(
                    f"{app_id} has not ended within {timeout:g} s after it was told to; it is {report.state}"
                )
            if not self.ok_if_finished:
                raise AirflowFailException(f"{app_id} was not killed: it had ended as {report.final_status} before")
            self.log.info("%s had ended as %s before", app_id, report.final_status)
            return False
