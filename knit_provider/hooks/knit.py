"""``KnitHook``: an Airflow connection of type ``yarn`` made into a :class:`~knit_provider.Knit`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from knit_provider.hooks.connection import deployment_of, knit_arguments
from knit_provider.yarn.errors import KnitError

if TYPE_CHECKING:
    from knit_provider.yarn.files.port import Files
    from knit_provider.yarn.knit import Knit
    from knit_provider.yarn.logs import LogChunk
    from knit_provider.yarn.report import ApplicationReport


class KnitHook(BaseHook):
    """A YARN cluster as an Airflow connection describes it.

    Status, kill, logs and the test button are REST calls and start no JVM. The connection is read when it is first
    needed, once; in a triggerer :meth:`aread_connection` reads it without blocking the others there.

    Args:
        yarn_conn_id: connection of type ``yarn`` (default ``yarn_default``). None uses what the process's own
            environment and Hadoop configuration say.

    Example:
        >>> hook = KnitHook("yarn_default")
        >>> hook.report("application_1700000000000_0042").state
        'RUNNING'
    """

    conn_name_attr = "yarn_conn_id"
    default_conn_name = "yarn_default"
    conn_type = "yarn"
    hook_name = "Hadoop YARN"

    def __init__(self, yarn_conn_id: str | None = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.yarn_conn_id = yarn_conn_id
        self._arguments: dict[str, Any] | None = None
        self._queue: str | None = None
        self._deployment: str | None = None
        self._conn: Knit | None = None

    def get_conn(self) -> Knit:
        """The handle on the cluster; made once per hook."""
        if self._conn is None:
            self._conn = self.new_conn()
        return self._conn

    def new_conn(self) -> Knit:
        """A handle of its own, that shares no HTTP session with :meth:`get_conn`'s.

        Raises:
            ConfigurationError: for a connection that cannot be used.
        """
        from knit_provider.yarn.knit import Knit

        self._read_connection()
        return Knit(**(self._arguments or {}))

    @property
    def queue(self) -> str | None:
        """The connection's queue, if it names one."""
        self._read_connection()
        return self._queue

    @property
    def deployment(self) -> str | None:
        """The connection's extra ``deployment``: this Airflow's name among those that use the cluster."""
        self._read_connection()
        return self._deployment

    @property
    def cluster_key(self) -> str:
        """Equal for hooks that talk to the same cluster as the same user; holds secrets, so it is never shown."""
        self._read_connection()
        return json.dumps(self._arguments, sort_keys=True, default=str)

    @property
    def files(self) -> Files:
        """The cluster's filesystem: ``read``, ``list``, ``put`` and more."""
        return self.get_conn().connection.files

    def report(self, app_id: str) -> ApplicationReport:
        """What is known of an application now.

        Raises:
            ApplicationNotFound: neither the ResourceManager nor the ledger knows it.
        """
        return self.get_conn().application(app_id).report()

    def kill(self, app_id: str, timeout: float = 10.0, diagnostics: str | None = None) -> bool:
        """Kill an application by REST.

        Args:
            app_id: YARN application id.
            timeout: seconds to wait for its end (default 10).
            diagnostics: the reason, which YARN shows beside the application.

        Returns:
            True only if it ended in state KILLED.
        """
        return bool(self.get_conn().yarn_api.kill(app_id, timeout=timeout, diagnostics=diagnostics))

    def logs(self, app_id: str, follow: bool = False) -> Iterator[LogChunk]:
        """Stream an application's logs; with ``follow=True`` to its end."""
        return self.get_conn().iter_logs(follow=follow, app_id=app_id)

    def tracking_url(self, app_id: str) -> str:
        """The ResourceManager's page about an application, which exists from its submission on."""
        return self.get_conn().connection.session.page_of(app_id)

    def test_connection(self) -> tuple[bool, str]:
        """What the connection form's test button calls: asks the ResourceManager and the NameNode who they are.

        Returns:
            Whether both answered and accepted the user, and what they said.
        """
        try:
            with self.new_conn() as conn:
                return True, _describe(conn)
        except KnitError as e:
            return False, str(e)

    async def aread_connection(self) -> None:
        """Read the connection from within an event loop; afterwards nothing here asks Airflow any more."""
        if self._arguments is not None or self.yarn_conn_id is None:
            return
        from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson

        connection = await get_async_connection(self.yarn_conn_id, hook=type(self))
        await get_async_extra_dejson(connection)  # as in _read_connection
        self._take(connection)

    def _read_connection(self) -> None:
        if self._arguments is not None:
            return
        if self.yarn_conn_id is None:
            self._arguments = {}
            return
        connection = self.get_connection(self.yarn_conn_id)
        # Read for its side effect: Airflow masks what the extras hold in every log from here on.
        _ = connection.extra_dejson
        self._take(connection)

    def _take(self, connection: Any) -> None:
        arguments, self._queue = knit_arguments(connection, self.log.warning)
        self._deployment = deployment_of(connection)
        self._arguments = arguments


def _describe(conn: Knit) -> str:
    info = conn.yarn_api.cluster_info()
    version = info.get("resourceManagerVersion") or info.get("hadoopVersion") or "of unknown version"
    ha_state = info.get("haState") or "unknown"
    files = conn.connection.files
    home = files.uri_home()
    files.status("/")
    by_password = bool(conn.conf.password)
    how = "password" if by_password else "Kerberos" if conn.connection.secure else "simple authentication"
    return f"ResourceManager {version} is {ha_state}; NameNode answers, home {home}; user {conn.user} by {how}"
