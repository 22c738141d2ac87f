"""Dask clusters as Airflow tasks: one starts a cluster for the tasks between, the other ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.application import KILL_SECONDS, PERMANENT, ApplicationOperator, unknown_fate
from knit_provider.operators.arguments import seconds, whole
from knit_provider.operators.identity import Action, ApplicationStore, decide, task_tag, tries_left
from knit_provider.yarn.errors import ApplicationKilled, ApplicationNotFound, KnitError
from knit_provider.yarn.polling import Patience

if TYPE_CHECKING:
    from knit_provider.dask import DaskYARNCluster
    from knit_provider.yarn.knit import Knit


class DaskYARNClusterStartOperator(ApplicationOperator):
    """Starts a Dask cluster with its scheduler in a container, for the tasks that follow.

    The cluster's id is stored before anything is submitted, so that a later try goes on with the same cluster. Airflow
    3.3 and newer have a store for that; below, it is found by a tag, where the connection names this Airflow (extra
    ``deployment``). While nobody knows what has become of an earlier try's cluster, no second one is started. In a
    task, ``DaskYARNCluster.from_application_id(app_id, knit=...)`` connects to it.
    :class:`DaskYARNClusterStopOperator` ends it; so does its lifetime, whatever becomes of Airflow.

    Args:
        n_workers: workers to begin with (default 1).
        memory: of each worker's container: MiB, or with a suffix (default 2 GiB).
        cpus: virtual cores and threads of each (default 1).
        env: a packed Python environment with distributed.
        app_name: name of the cluster (default ``<dag id>.<task id>``).
        worker_env: environment variables of the workers.
        files: files and archives for the workers.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``).
        yarn_queue: YARN queue (default the connection's, else ``default``).
        container_resources: further resources of each worker, such as ``{"yarn.io/gpu": 1}``.
        lifetime: after which YARN ends it at the latest (default ``"1 d"``).
        idle_timeout: after which it ends itself when nobody uses it, such as ``"1 h"`` (default never).
        wait_for_workers: workers to wait for (default none: they come as they are granted).
        timeout_seconds: how long to wait for them (default 600).
        cluster_options: further arguments of :class:`~knit_provider.dask.DaskYARNCluster`.
        poll_retry_timeout: seconds for which YARN may be away while the cluster of an earlier try is looked for
            (default 300).

    Returns:
        The YARN application id. The XComs ``app_id``, ``tracking_url``, ``scheduler_address`` and ``dashboard_link``
        tell more.

    Example:
        >>> start = DaskYARNClusterStartOperator(task_id="start", n_workers=4, env="hdfs:///envs/dask.tar.gz")
        >>> stop = DaskYARNClusterStopOperator(task_id="stop", app_id=start.output)
        >>> start.as_setup() >> work >> stop.as_teardown(setups=start)       # doctest: +SKIP
    """

    template_fields: Sequence[str] = (
        "n_workers",
        "memory",
        "cpus",
        "env",
        "app_name",
        "worker_env",
        "files",
        "yarn_conn_id",
        "yarn_queue",
        "container_resources",
        "lifetime",
        "idle_timeout",
        "wait_for_workers",
        "cluster_options",
    )
    template_fields_renderers = {  # noqa: RUF012 - a class attribute of Airflow's own
        "worker_env": "json",
        "files": "json",
        "container_resources": "json",
        "cluster_options": "json",
    }
    ui_color = "#ffc11e"

    def __init__(
        self,
        *,
        n_workers: int | str = 1,
        memory: int | str | None = None,
        cpus: int | str | None = None,
        env: str | None = None,
        app_name: str | None = None,
        worker_env: Mapping[str, str] | None = None,
        files: Sequence[str] | Mapping[str, str] | None = None,
        yarn_queue: str | None = None,
        container_resources: Mapping[str, int] | None = None,
        lifetime: int | str = "1 d",
        idle_timeout: str | None = None,
        wait_for_workers: int | str = 0,
        timeout_seconds: float = 600.0,
        cluster_options: Mapping[str, Any] | None = None,
        poll_retry_timeout: float = 300.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_workers = n_workers
        self.memory = memory
        self.cpus = cpus
        self.env = env
        self.app_name = app_name
        self.worker_env = worker_env
        self.files = files
        self.yarn_queue = yarn_queue
        self.container_resources = container_resources
        self.lifetime = lifetime
        self.idle_timeout = idle_timeout
        self.wait_for_workers = wait_for_workers
        self.timeout_seconds = timeout_seconds
        self.cluster_options = cluster_options
        self.poll_retry_timeout = poll_retry_timeout

    def execute(self, context: Mapping[str, Any]) -> str:
        """Start the cluster, or go on with that of an earlier try.

        Raises:
            AirflowFailException: for what no retry can mend.
            KnitError: it did not come up; it was ended again.
        """
        with self._connected() as (hook, conn):
            try:
                cluster = self._cluster(hook, conn, context)
            except KnitError as e:
                if isinstance(e, PERMANENT) or self._stopping or not tries_left(context) or not self._findable(context):
                    # Nobody comes to look for it.
                    self._end(conn)
                raise
            try:
                self._go_on()
                count = whole(self.wait_for_workers, "wait_for_workers")
                if count:
                    cluster.wait_for_workers(count, timeout=self.timeout_seconds)
                self._push(context, "scheduler_address", cluster.scheduler_address)
                self._push(context, "dashboard_link", cluster.dashboard_link)
                self.log.info(
                    "%s: scheduler %s, dashboard %s", cluster.app_id, cluster.scheduler_address, cluster.dashboard_link
                )
                self._go_on()
            except BaseException as e:
                cluster.shutdown("FAILED", f"its task failed: {e}"[:1000])
                raise
            cluster.disconnect()
            return str(cluster.app_id)

    def on_kill(self) -> None:
        """End what was begun."""
        self._stopping = True
        if self._app_id is not None:
            with contextlib.suppress(ApplicationNotFound):  # not submitted yet: execute sees to it
                KnitHook(self.yarn_conn_id).kill(self._app_id, KILL_SECONDS, "Airflow stopped the task")

    def _cluster(self, hook: KnitHook, conn: Knit, context: Mapping[str, Any]) -> DaskYARNCluster:
        """The cluster of this task: an earlier try's, or a new one."""
        # Not while Airflow parses DAGs.
        from knit_provider.dask import DaskYARNCluster

        app_id, attach = self._identity(hook, conn, context)
        self._found(hook, app_id, context)
        self._go_on()
        if attach:
            self.log.info("%s was started by an earlier try, and is gone on with", app_id)
            found: DaskYARNCluster = DaskYARNCluster.from_application_id(app_id, knit=conn)
            return found
        self.log.info("Submitting Dask cluster %s", app_id)
        arguments = self._arguments(context, hook)
        return DaskYARNCluster(knit=conn, app_id=app_id, _wanted=lambda: not self._stopping, **arguments)

    def _identity(self, hook: KnitHook, conn: Knit, context: Mapping[str, Any]) -> tuple[str, bool]:
        """The id to use, stored; and whether there is a cluster under it already."""
        store = ApplicationStore(context)
        stored = self._earlier(conn, context)
        if stored is not None:
            # Whoever ends this try from here on ends that one.
            self._app_id = stored.app_id
            report = self._report_of(conn, stored.app_id)
            action = decide(stored, report, cleared=store.cleared_since(stored))
            if action is Action.UNKNOWN:
                raise unknown_fate(stored.app_id)
            if action is Action.ATTACH:
                return stored.app_id, True
            if action is Action.REPLACE:
                self._replace(conn, stored.app_id)
            if action is Action.SUBMIT_STORED:
                return stored.app_id, False
            # One that has ended, however well, is no cluster any more.
        app_id = conn.new_application()
        store.save(app_id)
        return app_id, False

    def _check(self) -> None:
        seconds(self.poll_retry_timeout, "poll_retry_timeout")

    def _patience(self) -> Patience:
        return Patience(retry_timeout=self.poll_retry_timeout)

    def _go_on(self) -> None:
        if self._stopping:
            raise ApplicationKilled(f"{self._app_id}: the task was stopped", app_id=self._app_id or "")

    def _end(self, conn: Knit) -> None:
        if self._app_id is None:
            return
        try:
            conn.application(self._app_id).kill("its task failed")
        except ApplicationNotFound:
            pass  # never submitted
        except KnitError as e:
            self.log.warning("%s could not be ended, its lifetime ends it: %s", self._app_id, e)

    def _arguments(self, context: Mapping[str, Any], hook: KnitHook) -> dict[str, Any]:
        dag_id = getattr(context.get("ti"), "dag_id", None)
        options = dict(self.cluster_options or {})
        tags = options.get("tags") or []
        tag = task_tag(context, hook.deployment)
        return {
            "deploy_mode": "remote",
            "bound": False,
            "n_workers": whole(self.n_workers, "n_workers"),
            "memory": self.memory,
            "cpus": None if self.cpus is None else whole(self.cpus, "cpus", minimum=1),
            "env": self.env or None,
            "name": self.app_name or (f"{dag_id}.{self.task_id}" if dag_id else str(self.task_id)),
            "worker_env": self.worker_env,
            "files": self.files,
            "queue": self.yarn_queue or hook.queue,
            "container_resources": self.container_resources,
            "lifetime": self.lifetime,
            "idle_timeout": self.idle_timeout,
            **options,
            "tags": [*([tags] if isinstance(tags, str) else tags), *([tag] if tag else [])],
        }


class DaskYARNClusterStopOperator(ApplicationOperator):
    """Ends a Dask cluster; one that has ended already is none of its business.

    Args:
        app_id: YARN application id, as :class:`DaskYARNClusterStartOperator` returns it.
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``).

    Returns:
        The application's final status.
    """

    template_fields: Sequence[str] = ("app_id", "yarn_conn_id")
    ui_color = "#ffc11e"

    def __init__(self, *, app_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.app_id = app_id

    def execute(self, context: Mapping[str, Any]) -> str:
        """End it.

        Raises:
            AirflowFailException: there is no such application.
            KnitError: it does not end.
        """
        from knit_provider.dask.ending import end_application

        if not self.app_id:
            raise AirflowFailException("app_id is empty: the task that starts the cluster has returned none")
        with self._connected() as (_, conn):
            try:
                app = conn.attach(self.app_id)
            except ApplicationNotFound as e:
                raise AirflowFailException(str(e)) from e
            end_application(app, "SUCCEEDED", "ended by Airflow")
            report = app.report()
            if not report.terminal:
                raise KnitError(f"{self.app_id} does not end; it is {report.state}")
            self.log.info("%s has ended: %s", self.app_id, report.final_status)
            return report.final_status
