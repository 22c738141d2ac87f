"""``KnitEnvOperator``: a Python environment in HDFS as an Airflow task."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import Asset, AssetAlias, BaseOperator

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.application import PERMANENT


class KnitEnvOperator(BaseOperator):
    """Builds a Python environment, puts it into HDFS and returns its URI, for the ``env`` of other tasks.

    What is built, or in HDFS, already is neither built nor uploaded again: then the task takes a moment. Its progress
    is in the task's log.

    The task's outlet is an asset with the archive's URI. That is known only when the task has run, so it comes by an
    asset alias, which DAGs may be scheduled on; its name is ``alias``.

    Args:
        source: ``conda://PREFIX_OR_NAME``, ``venv://PREFIX``, the path of an ``environment.yml``, ``requirements.txt``,
            ``pyproject.toml``, ``uv.lock`` or explicit lock file on the worker, or a ready archive there.
        packages: conda packages to build it of, in place of a source.
        channels: where the packages come from.
        env_name: what it is called (default after the source, or the task's id).
        format: of the archive: ``tar.gz`` (default), ``tar`` or ``zip``.
        ignore_editable: leave editable installs out in place of refusing them (default False).
        ignore_missing: pack also where a package manager overwrote files (default False).
        public: let everybody read it, unless it holds what looks like a secret (default False).
        allow_secrets: with ``public``, patterns of paths in it that are no secrets.
        upload_always: upload also what is there (default False).
        alias: name of the asset alias (default ``<dag id>.<task id>``).
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``); None uses the worker's own configuration.

    Returns:
        The ``hdfs://`` URI. The XComs ``digest`` and ``size`` (bytes) tell more.

    Example:
        >>> env = KnitEnvOperator(task_id="env", source="/opt/jobs/environment.yml")
        >>> KnitStartOperator(task_id="score", command="$PYTHON_BIN score.py", env=env.output)
    """

    template_fields: Sequence[str] = (
        "source",
        "packages",
        "channels",
        "env_name",
        "allow_secrets",
        "yarn_conn_id",
    )
    ui_color = "#cfe8d5"

    def __init__(
        self,
        *,
        source: str | None = None,
        packages: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        env_name: str | None = None,
        format: str = "tar.gz",  # noqa: A002 - as everywhere
        ignore_editable: bool = False,
        ignore_missing: bool = False,
        public: bool = False,
        allow_secrets: Sequence[str] | None = None,
        upload_always: bool = False,
        alias: str | None = None,
        yarn_conn_id: str | None = KnitHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.packages = packages
        self.channels = channels
        self.env_name = env_name
        self.format = format
        self.ignore_editable = ignore_editable
        self.ignore_missing = ignore_missing
        self.public = public
        self.allow_secrets = allow_secrets
        self.upload_always = upload_always
        self.alias = alias
        self.yarn_conn_id = yarn_conn_id
        self.add_outlets([AssetAlias(self._alias())])

    def execute(self, context: Mapping[str, Any]) -> str:
        """Build and upload what is not there.

        Raises:
            AirflowFailException: for what no retry can mend.
            EnvironmentBuildError: it cannot be built.
        """
        from knit_provider.environments.progress import LogProgress
        from knit_provider.environments.provide import provide

        # Airflow's root logger may be set to show warnings only; what the task does shall be seen.
        logging.getLogger("knit_provider.environments").setLevel(logging.INFO)
        try:
            with KnitHook(self.yarn_conn_id).get_conn() as conn:
                made = provide(
                    conn.connection,
                    self.source or None,
                    packages=tuple(self.packages or ()),
                    channels=tuple(self.channels or ()),
                    name=self.env_name or (None if self.source else self.task_id),
                    format=self.format,
                    ignore_editable=self.ignore_editable,
                    ignore_missing=self.ignore_missing,
                    public=self.public,
                    allow_secrets=tuple(self.allow_secrets or ()),
                    upload_always=self.upload_always or conn.upload_always,
                    progress=LogProgress(),
                )
        except PERMANENT as e:
            raise AirflowFailException(str(e)) from e
        how = "uploaded" if made.uploaded else "was in HDFS already"
        self.log.info("%s (%.1f MB) %s: %s", made.name, made.size / 1e6, how, made.uri)
        self._tell(context, made.uri, {"digest": made.digest, "size": made.size})
        return made.uri

    def _alias(self) -> str:
        return self.alias or (f"{self.dag_id}.{self.task_id}" if self.has_dag() else str(self.task_id))

    def _tell(self, context: Mapping[str, Any], uri: str, facts: Mapping[str, Any]) -> None:
        ti, events = context.get("ti"), context.get("outlet_events")
        if ti is not None:
            for key, value in facts.items():
                ti.xcom_push(key=key, value=value)
        if events is not None:
            events[AssetAlias(self._alias())].add(Asset(uri=uri, name=uri), extra=dict(facts))
