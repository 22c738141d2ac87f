"""What all operators that deal with one application have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import BaseOperator

from knit_provider.hooks.knit import KnitHook
from knit_provider.links.knit import YarnApplicationLink, push
from knit_provider.operators.identity import ApplicationStore, StoredApplication, find_by_tag
from knit_provider.yarn.errors import (
    ApplicationKilled,
    AuthenticationFailed,
    CheckFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.polling import Pace, Patience

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.report import ApplicationReport

T = TypeVar("T")

# Trying again cannot mend these.
PERMANENT = (ConfigurationError, CheckFailed, AuthenticationFailed, PermissionDenied)
REPLACE_SECONDS = 60.0
# After SIGTERM Airflow leaves a task 5 s.
KILL_SECONDS = 3.0


def unknown_fate(app_id: str) -> AirflowFailException:
    """What a try fails with that finds an application of which nobody knows whether it ran: it starts no second one."""
    return AirflowFailException(
        f"{app_id} was started by an earlier try; the ResourceManager has forgotten it and the ledger holds no "
        "outcome, so whether it succeeded is unknown. Clear the task to start it anew"
    )


class ApplicationOperator(BaseOperator):
    """Talks to a cluster about one application.

    Args:
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``); None uses the process's own configuration.
    """

    operator_extra_links = (YarnApplicationLink(),)
    ui_color = "#f4e9b8"

    def __init__(self, *, yarn_conn_id: str | None = KnitHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.yarn_conn_id = yarn_conn_id
        self._app_id: str | None = None
        self._deployment: str | None = None
        self._stopping = False

    def _check(self) -> None:
        """Check the arguments, before the cluster is asked anything."""

    def _opened(self, hook: KnitHook) -> None:
        """Called before anything is done with a connection."""

    def _patience(self) -> Patience:
        """How long a cluster that is away is waited for."""
        return Patience()

    def _fate(self) -> str:
        """What has become of the application of a task that was stopped."""
        return "was killed"

    @contextmanager
    def _connected(self) -> Iterator[tuple[KnitHook, Knit]]:
        """The cluster; what no retry can mend fails the task for good."""
        try:
            self._check()
            hook = KnitHook(self.yarn_conn_id)
            self._opened(hook)
            self._deployment = hook.deployment
            with hook.get_conn() as conn:
                yield hook, conn
        except PERMANENT as e:
            raise AirflowFailException(str(e)) from e

    def _found(self, hook: KnitHook, app_id: str, context: Mapping[str, Any]) -> None:
        """Tell everybody which application it is, before anything else happens."""
        self._app_id = app_id
        url = hook.tracking_url(app_id)
        self._push(context, "app_id", app_id)
        self._push(context, "tracking_url", url)
        push(context, url)
        self.log.info("%s: %s", app_id, url)

    def _earlier(self, conn: Knit, context: Mapping[str, Any]) -> StoredApplication | None:
        """The application of an earlier try: from the task state store or, below Airflow 3.3, by its tag.

        Raises:
            ClusterUnavailable: the cluster was away for too long.
        """
        store = ApplicationStore(context)
        if store.available:
            return store.load()
        if context.get("ti") is None:
            return None
        if not self._findable(context):
            self.log.warning(
                "A retry cannot find the application of this try and would start a second one: this Airflow has no "
                "task state store (3.3 has), and the connection %s names no deployment. Set its extra 'deployment' to "
                "a name that no other Airflow on this cluster has",
                self.yarn_conn_id,
            )
            return None
        return self._patiently(
            lambda: find_by_tag(conn.yarn_api, context, str(self._deployment)),
            "the task was stopped while nobody could say whether an earlier try has left an application",
        )

    def _findable(self, context: Mapping[str, Any]) -> bool:
        """Whether a later try finds the application of this one; the same in every process of the task."""
        return ApplicationStore(context).available or self._deployment is not None

    def _report_of(self, conn: Knit, app_id: str) -> ApplicationReport | None:
        """What is known of an earlier try's application."""
        return self._patiently(
            conn.application(app_id).report_or_none, f"the task was stopped; {app_id} {self._fate()}", app_id
        )

    def _patiently(self, ask: Callable[[], T], stopped: str, app_id: str = "") -> T:
        """Ask about an earlier try; a cluster that is away is waited for as it is in a wait.

        Raises:
            ApplicationKilled: ``on_kill`` came meanwhile; ``stopped`` says what that means.
            ClusterUnavailable: it was away for too long.
        """
        pace = Pace(self._patience(), shortest=0.5)
        while True:
            try:
                return ask()
            except ClusterUnavailable as e:
                pace.failed(e)
                self.log.warning("%s; asking again", e)
            until = time.monotonic() + pace.pause()
            while time.monotonic() < until:
                # on_kill comes in between and lets this go on.
                time.sleep(0.1)
                if self._stopping:
                    raise ApplicationKilled(stopped, app_id=app_id)

    def _replace(self, conn: Knit, app_id: str) -> None:
        """End the application of an earlier try, whose task was cleared, so that a new one may start.

        Raises:
            KnitError: it does not end, so no second one may be started.
        """
        app = conn.application(app_id)
        if not app.kill("its task was cleared", timeout=REPLACE_SECONDS):
            report = app.report()
            if not report.terminal:
                raise KnitError(f"{app_id} does not end, so no second one is started; it is {report.state}")

    def _push(self, context: Mapping[str, Any], key: str, value: Any) -> None:
        ti = context.get("ti")
        if ti is not None and self.do_xcom_push:
            ti.xcom_push(key=key, value=value)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The application as the external job of this run, for OpenLineage; None where its provider is missing."""
        from knit_provider.operators.lineage import application_lineage

        return application_lineage(self, self._app_id)
