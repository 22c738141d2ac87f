"""``KnitSensor``: waits until an application has reached a state."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, PokeReturnValue, conf
from airflow.sdk import BaseSensorOperator

from knit_provider.hooks.knit import KnitHook
from knit_provider.links.knit import YarnApplicationLink, push
from knit_provider.operators.application import PERMANENT
from knit_provider.operators.arguments import application_id, seconds
from knit_provider.operators.watching import error_of
from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.polling import Pace, Patience, reached
from knit_provider.yarn.report import UNKNOWN, ApplicationReport
from knit_provider.yarn.rest.shapes import LIVE_STATES

TROUBLE_KEY = "knit_sensor_trouble"
STATES = (*LIVE_STATES, "FINISHED", "FAILED", "KILLED", "SUCCEEDED")


class KnitSensor(BaseSensorOperator):
    """Waits until a YARN application of any type has reached one of some states.

    It fails at once, and for good, when the application ends in another way: nothing that could come would help. The
    application is nobody's business here: it goes on whatever happens to the sensor.

    Args:
        app_id: YARN application id; may be a template.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``).
        target_states: states (``ACCEPTED``, ``RUNNING``, ``FINISHED`` ...) or final statuses (``SUCCEEDED``,
            ``FAILED``, ``KILLED``) to wait for; default ``("SUCCEEDED",)``.
        failed_states: further states in which the sensor fails.
        deferrable: wait in the triggerer (default: Airflow's setting ``operators.default_deferrable``).
        end_from_trigger: with ``deferrable``, the task succeeds without going through a worker again (default False).
        poke_interval: seconds between two looks (default 10). A trigger looks more often while the wait is young.
        poll_retry_timeout: seconds in a row for which the cluster may be away (default 300). With
            ``mode="reschedule"`` each look is a process of its own, and only from Airflow 3.3 on one knows what the
            last one met: below, a cluster that is away is asked until ``timeout``.
        **kwargs: ``timeout``, ``mode``, ``soft_fail`` and all else that sensors have.

    Returns:
        The final status, or the state of an application that goes on.
    """

    template_fields: Sequence[str] = ("app_id", "yarn_conn_id", "target_states")
    operator_extra_links = (YarnApplicationLink(),)
    ui_color = "#f4e9b8"

    def __init__(
        self,
        *,
        app_id: str,
        yarn_conn_id: str | None = KnitHook.default_conn_name,
        target_states: Sequence[str] = ("SUCCEEDED",),
        failed_states: Sequence[str] = (),
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        poke_interval: timedelta | float = 10.0,
        poll_retry_timeout: float = 300.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.app_id = app_id
        self.yarn_conn_id = yarn_conn_id
        self.target_states = target_states
        self.failed_states = failed_states
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self.poll_retry_timeout = poll_retry_timeout
        self._hook: KnitHook | None = None
        self._pace: Pace | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Wait; see the class.

        Raises:
            AirflowFailException: it ended otherwise, is not known, or may not be asked about.
            AirflowSensorTimeout: after ``timeout``.
        """
        from knit_provider.triggers.knit import KnitTrigger

        self._check()
        hook = self._hook = KnitHook(self.yarn_conn_id)
        push(context, hook.tracking_url(self.app_id))
        if not self.deferrable:
            return super().execute(context)
        try:
            found = self.poke(context)
        except AirflowFailException as e:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped instead of failed: {e}") from e
            raise
        if found:
            return found.xcom_value
        return self.defer(
            trigger=KnitTrigger(
                self.app_id,
                self.yarn_conn_id,
                poll_interval=max(0.1, self.poke_interval),
                poll_retry_timeout=self.poll_retry_timeout,
                on_kill_action="keep",
                target_states=self.target_states,
                failed_states=self.failed_states,
                end_from_trigger=self.end_from_trigger,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
        """Go on where the trigger stopped. Airflow calls this on a worker."""
        from knit_provider.triggers.knit import LOST, TROUBLE

        self._check()
        if event["event"] == TROUBLE:
            error = error_of(event)
            raise AirflowFailException(str(error)) if isinstance(error, PERMANENT) else error
        if event["event"] == LOST:
            # The ResourceManager has forgotten it; the ledger may know more.
            report = self._look(KnitHook(self.yarn_conn_id))
        else:
            # As the trigger saw it: what was waited for may have passed by now.
            report = ApplicationReport(
                self.app_id, str(event["state"]), str(event["final_status"]), str(event["message"])
            )
        value = self._judge(report)
        if value is None:
            raise KnitError(f"{self.app_id} is {_shown(report)}, for which the trigger should not have fired")
        return value

    def poke(self, context: Mapping[str, Any]) -> PokeReturnValue | None:
        """One look."""
        self._pace = self._pace or Pace(Patience(retry_timeout=self.poll_retry_timeout), 1.0)
        hook = self._hook = self._hook or KnitHook(self.yarn_conn_id)
        try:
            report = self._look(hook)
            self._answered(context, self._pace)
        except ClusterUnavailable as e:
            self._failed(context, self._pace, e)
            self.log.warning("%s; asking again", e)
            return None
        value = self._judge(report)
        return None if value is None else PokeReturnValue(True, xcom_value=value)

    def _answered(self, context: Mapping[str, Any], pace: Pace) -> None:
        pace.answered()
        store = self._between_looks(context)
        if store is not None and store.get(TROUBLE_KEY) is not None:
            store.delete(TROUBLE_KEY)

    def _failed(self, context: Mapping[str, Any], pace: Pace, error: ClusterUnavailable) -> None:
        """Raise the error once the cluster has been away for too long."""
        pace.failed(error)
        store = self._between_looks(context)
        if store is None:
            return
        now, this_try = time.time(), getattr(context.get("ti"), "try_number", None)
        found = store.get(TROUBLE_KEY)
        # What an earlier try met is over.
        met = isinstance(found, Mapping) and found.get("try_number") == this_try
        since = float(found["since"]) if met else now
        if now - since > self.poll_retry_timeout:
            raise error
        if not met:
            store.set(TROUBLE_KEY, {"since": since, "try_number": this_try})

    def _between_looks(self, context: Mapping[str, Any]) -> Any:
        """What outlives this process where the next look is another one's: the task state store, if there is one."""
        return context.get("task_state_store") if self.reschedule else None

    def _look(self, hook: KnitHook) -> ApplicationReport:
        try:
            return hook.report(self.app_id)
        except (*PERMANENT, ApplicationNotFound) as e:
            raise AirflowFailException(str(e)) from e

    def _judge(self, report: ApplicationReport) -> str | None:
        """What the task returns; None as long as there is something to wait for."""
        self.log.info("%s is %s", report.id, _shown(report))
        if reached(report, self.failed_states):
            raise AirflowFailException(f"{report.id} is {_shown(report)}, one of failed_states. {report.diagnostics}")
        if reached(report, self.target_states):
            return report.final_status if report.terminal else report.state
        if report.terminal or report.state == UNKNOWN:
            wanted = ", ".join(self.target_states)
            raise AirflowFailException(
                f"{report.id} is {_shown(report)} and will not be {wanted} any more. {report.diagnostics}"
            )
        return None

    def _check(self) -> None:
        try:
            self.app_id = application_id(self.app_id)
            seconds(self.poll_retry_timeout, "poll_retry_timeout")
            for name, given in (("target_states", self.target_states), ("failed_states", self.failed_states)):
                if isinstance(given, str) or not set(given) <= set(STATES):
                    raise ConfigurationError(f"{name}={given!r}; give a list of some of {', '.join(STATES)}")
            if not self.target_states:
                raise ConfigurationError("target_states is empty, so there is nothing to wait for")
        except ConfigurationError as e:
            raise AirflowFailException(str(e)) from e


def _shown(report: ApplicationReport) -> str:
    return f"{report.state} ({report.final_status})" if report.terminal else report.state
