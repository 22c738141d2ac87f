"""``YARNAPI``: what the ResourceManager can be asked and told over REST."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, ConfigurationError
from knit_provider.yarn.kerberos import KerberosLogin
from knit_provider.yarn.rest import containers
from knit_provider.yarn.rest.answers import Answer
from knit_provider.yarn.rest.auth import kerberos_auth
from knit_provider.yarn.rest.cluster import ClusterView
from knit_provider.yarn.rest.session import TIMEOUT, Session
from knit_provider.yarn.rest.shapes import FINAL_STATES, LIVE_STATES, check_app_id, items, number
from knit_provider.yarn.units import check_int, check_seconds

APPLICATION_TYPE = "knit"
"""The application type of everything this product starts."""

_POLL_SECONDS = 0.2


class YARNAPI(ClusterView):
    """REST interface to YARN.

    Args:
        rm: host of the ResourceManager, or of the proxy in front of it.
        rm_port: its web port (default 8088, or 8090 with https).
        scheme: ``"http"`` (default) or ``"https"``.
        gateway_path: path of a proxy such as Knox, for example ``"/gateway/default/resourcemanager"``.
        kerberos: authenticate with the Kerberos ticket of the environment.
        username: who the calls are made as; ``user`` is the same.
        password: with it, HTTP Basic authentication.
        session: the session to use in place of all that.
        conf: the configuration to use in place of ``rm`` and ``rm_port``. With neither, it is read from where Hadoop
            keeps it.

    Raises:
        ConfigurationError: for arguments that cannot be used.
    """

    def __init__(
        self,
        rm: str | None = None,
        rm_port: int | None = None,
        scheme: str | None = None,
        gateway_path: str = "",
        kerberos: bool = False,
        username: str | None = None,
        password: str | None = None,
        *,
        user: str | None = None,
        session: Session | None = None,
        conf: HadoopConf | None = None,
        timeout: float | None = None,
        verify: bool | str | None = None,
    ) -> None:
        if session is None:
            if conf is None:
                conf = HadoopConf.load(
                    autodetect=rm is None,
                    password=password,
                    rm=rm,
                    rm_port=rm_port,
                    scheme=scheme,
                    gateway_path=gateway_path or None,
                    user=user or username,
                )
            session = Session(
                conf,
                user or username,
                password,
                gateway_path or None,
                scheme,
                timeout=TIMEOUT if timeout is None else timeout,
                auth=kerberos_auth() if kerberos else None,
                verify=verify,
            )
        super().__init__(session)

    # -- where it points ------------------------------------------------------------------------------------------

    @property
    def username(self) -> str:
        """Who the calls are made as."""
        return self.session.user

    @property
    def rm(self) -> str:
        """Host of the ResourceManager that is asked first."""
        return urlsplit(self.session.active_address).hostname or ""

    @property
    def rm_port(self) -> int:
        """Its web port."""
        return urlsplit(self.session.active_address).port or 0

    @property
    def scheme(self) -> str:
        return urlsplit(self.session.active_address).scheme

    @property
    def host_port(self) -> str:
        return urlsplit(self.session.active_address).netloc

    @property
    def gateway_path(self) -> str:
        return self.session.gateway_path

    @property
    def url(self) -> str:
        """Where the interface is looked for first, such as ``http://rm:8088/ws/v1/``."""
        return self.session.active_address + self.session.root

    @property
    def auth(self) -> Any:
        """The ``requests`` authentication in use; what is set here applies to the following calls."""
        return self.session.auth

    @auth.setter
    def auth(self, value: Any) -> None:
        self.session.auth = value

    @property
    def timeout(self) -> float:
        """Seconds that one call may take."""
        return self.session.timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self.session.timeout = check_seconds(seconds, "timeout", minimum=0.1, maximum=3600)

    # -- applications ---------------------------------------------------------------------------------------------

    @property
    def apps(self) -> list[str]:
        """Ids of all applications that YARN remembers."""
        return [str(app["id"]) for app in self.find()]

    def apps_info(self, app_id: str | None = None) -> Any:
        """Details of one application (a dict), or of all that YARN remembers (a list of them)."""
        return self.find() if app_id is None else self.status(app_id)

    def find(
        self,
        tags: Sequence[str] | None = None,
        states: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        user: str | None = None,
        queue: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Applications that match everything given.

        Args:
            tags: having at least one of these.
            states: in one of these: NEW, NEW_SAVING, SUBMITTED, ACCEPTED, RUNNING, FINISHED, FAILED, KILLED.
            types: of one of these application types, such as ``"knit"`` or ``"SPARK"``; case doesn't matter.
            user: of this user.
            queue: in this queue.
            limit: at most so many.

        Raises:
            ClusterUnavailable: also, where it is asked for tags, if the ResourceManager has just been started and has
                not read yet what it knew: nobody should start what runs already.
        """
        if tags:
            self._refuse_while_it_starts()
        limit = None if limit is None else check_int(limit, "limit", minimum=1)
        found = self.session.get_json(
            "cluster/apps",
            {
                "applicationTags": _joined(tags, "tags"),
                "states": _joined(states, "states"),
                "applicationTypes": _joined(types, "types"),
                "user": user,
                "queue": queue,
                "limit": limit,
                # What each application still wants, often the larger part of the answer.
                "deSelects": "resourceRequests",
            },
        )
        return [app for app in items(found, "apps", "app") if "id" in app]

    def status(self, app_id: str) -> dict[str, Any]:
        """What the ResourceManager knows of an application.

        Raises:
            ApplicationNotFound: if it doesn't know it, which says nothing about how it ended.
            ClusterUnavailable: also if it has just been started and has not read yet what it knew.
        """
        app_id = check_app_id(app_id)
        answer = self._of_known(f"cluster/apps/{app_id}").json()
        found = [app for app in items(answer, "app") if app.get("id")]
        if not found:
            raise ApplicationNotFound(f"the ResourceManager at {self.host_port} says nothing about {app_id}")
        return found[0]

    def _of_known(self, path: str, method: str = "GET", **kwargs: Any) -> Answer:
        """A call about one application; that it is not known counts only once the ResourceManager has recovered.

        Raises:
            ApplicationNotFound: it is not known.
            ClusterUnavailable: also if the ResourceManager has not recovered.
        """
        try:
            return self.session.request(method, path, **kwargs)
        except ApplicationNotFound:
            self._refuse_while_it_starts()
            return self.session.request(method, path, **kwargs)  # it may have recovered just now

    def _refuse_while_it_starts(self) -> None:
        """A ResourceManager answers before it has recovered its applications, and then says it knew none of them."""
        state = str(self.cluster_info().get("haState") or "ACTIVE")
        if state != "ACTIVE":
            raise _NotRecovered(
                f"the ResourceManager at {self.host_port} is {state}: it has not recovered its applications yet"
            )

    def state(self, app_id: str) -> str:
        """An application's state: NEW, NEW_SAVING, SUBMITTED, ACCEPTED, RUNNING, FINISHED, FAILED or KILLED.

        Raises:
            ApplicationNotFound, ClusterUnavailable: as :meth:`status`.
        """
        return str(self._of_known(f"cluster/apps/{check_app_id(app_id)}/state").json().get("state"))

    def app_attempts(self, app_id: str) -> list[dict[str, Any]]:
        """An application's attempts, the first one first."""
        found = self._of_known(f"cluster/apps/{check_app_id(app_id)}/appattempts").json()
        return sorted(items(found, "appAttempts", "appAttempt"), key=lambda attempt: number(attempt.get("id")))

    def app_containers(self, app_id: str | None = None, info: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """An application's live containers on all nodes, the ApplicationMaster's among them.

        Args:
            app_id: the application; or
            info: what :meth:`status` returned for it.

        Returns:
            For each container the keys of the NodeManager's REST interface and those of the ResourceManager's.
        """
        if (app_id is None) == (info is None):
            raise TypeError("app_containers takes app_id= or info=, one of them")
        app_id = check_app_id(app_id if info is None else info.get("id"))
        attempts = [str(attempt["appAttemptId"]) for attempt in self.app_attempts(app_id) if "appAttemptId" in attempt]
        return containers.live_containers(self.session, app_id, attempts)

    def container_info(self, container_id: str) -> dict[str, Any]:
        """What the ResourceManager and the node say of a live container."""
        return containers.container_info(self.session, container_id)

    def container_status(self, container_id: str) -> str:
        """A live container's state, such as ``"RUNNING"``.

        Raises:
            KnitError: YARN doesn't know the container any more.
        """
        return str(self.container_info(container_id)["state"])

    def logs(self, app_id: str, shell: bool = False, retries: int = 4, delay: float = 3) -> dict[str, Any]:
        """Collect an application's logs.

        Args:
            app_id: the application.
            shell: only what the cluster has aggregated after the end.
            retries, delay: as for :meth:`Application.logs <knit_provider.yarn.application.Application.logs>`.

        Returns:
            ``{container id: {"id", "nodeId", "stdout", "stderr", ...}}``
        """
        from knit_provider.yarn.connection import Connection
        from knit_provider.yarn.logs import collect_logs

        login = getattr(self.session.auth, "login", KerberosLogin())
        connection = Connection(
            self.session.conf.acting_as(self.session.caller),
            principal=login.principal,
            keytab=login.keytab,
            ccache=login.ccache,
            proxy_user=self.session.acted_for,
        )
        try:
            found: dict[str, Any] = dict(collect_logs(connection, check_app_id(app_id), shell, retries, delay))
        finally:
            connection.close()
        return found

    def app_timeouts(self, app_id: str) -> dict[str, dict[str, Any]]:
        """An application's time limits by type; ``"LIFETIME"`` is the only one there is.

        Each holds ``expiryTime`` (ISO 8601, or ``"UNLIMITED"``) and ``remainingTimeInSeconds`` (-1 for no limit).
        """
        found = items(self.session.get_json(f"cluster/apps/{check_app_id(app_id)}/timeouts"), "timeouts", "timeout")
        return {str(timeout["type"]): timeout for timeout in found if "type" in timeout}

    def update_lifetime(self, app_id: str, seconds: float) -> dict[str, Any]:
        """Let an application live ``seconds`` from now, by the ResourceManager's clock, whatever its limit was before.

        Returns:
            The limit that now holds, as in :meth:`app_timeouts`.
        """
        app_id = check_app_id(app_id)
        seconds = check_seconds(seconds, "lifetime", minimum=1.0)
        path = f"cluster/apps/{app_id}"
        now = _date_of(self._of_known(f"{path}/state").headers.get("Date", ""))
        expiry = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        body = {"timeout": {"type": "LIFETIME", "expiryTime": expiry}}
        answer = self.session.request("PUT", f"{path}/timeout", json=body, ok=(200, 202)).json()
        return next(iter(items(answer, "timeout")), {})

    # -- killing --------------------------------------------------------------------------------------------------

    def kill(self, app_id: str, timeout: float = 10, diagnostics: str | None = None) -> bool:
        """Kill an application and wait for its end.

        Args:
            app_id: the application.
            timeout: seconds to wait (default 10); with 0 it is told to end, and not looked at.
            diagnostics: why, for the application's report.

        Returns:
            True only if it ended in state KILLED: False if it had ended otherwise before, or has not ended in time.

        Raises:
            ApplicationNotFound: the ResourceManager doesn't know it.
            ClusterUnavailable: it cannot be asked; or it has been started again, and has not read within ``timeout``
                what it knew.
            PermissionDenied: it is somebody else's.
        """
        app_id = check_app_id(app_id)
        deadline = time.monotonic() + check_seconds(timeout, "timeout")
        body = {"state": "KILLED"} | ({"diagnostics": diagnostics} if diagnostics else {})
        path = f"cluster/apps/{app_id}/state"
        state = ""
        while True:
            try:
                # To one that starts again the order is given again: it may not have kept the first.
                answer = self._of_known(path) if state else self._of_known(path, "PUT", json=body, ok=(200, 202))
                state = str(answer.json().get("state"))
            except _NotRecovered:
                state = ""
                if time.monotonic() >= deadline:
                    raise
            if state in FINAL_STATES or time.monotonic() >= deadline:
                return state == "KILLED"
            time.sleep(min(_POLL_SECONDS, max(deadline - time.monotonic(), 0)))

    def kill_all(self, knit_only: bool = True) -> list[str]:
        """Kill the caller's applications that have not ended.

        Args:
            knit_only: only those of the application type ``knit`` (default True). Other users' are never touched.

        Returns:
            The ids of those that were killed.
        """
        types = [APPLICATION_TYPE] if knit_only else None
        killed = []
        for app in self.find(states=LIVE_STATES, types=types, user=self.user):
            try:
                if self.kill(str(app["id"])):
                    killed.append(str(app["id"]))
            except ApplicationNotFound:
                continue  # it ended meanwhile and was forgotten
        return killed

    def __repr__(self) -> str:
        return f"<YARNAPI {self.url} user={self.user}>"


class _NotRecovered(ClusterUnavailable):
    """The ResourceManager answers and has not read yet what it knew."""


def _joined(values: Sequence[str] | None, what: str) -> str | None:
    if values is None:
        return None
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise ConfigurationError(f"{what}={values!r} is not a list of strings")
    return ",".join(values) or None


def _date_of(header: str) -> datetime:
    # Jetty sends the header twice, and requests joins the two.
    try:
        return email.utils.parsedate_to_datetime(header[:29]).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
