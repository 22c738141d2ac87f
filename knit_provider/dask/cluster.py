"""``DaskYARNCluster``: a Dask cluster that is one YARN application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from distributed.core import Status
from distributed.security import Security

from knit_provider.dask import node
from knit_provider.dask.application import WORKER
from knit_provider.dask.beginning import Beginning
from knit_provider.dask.containers import WorkerContainer, YARNAdaptive
from knit_provider.dask.knit_names import KnitNames
from knit_provider.dask.security import security_of
from knit_provider.dask.settings import ClusterSettings, read_settings, same
from knit_provider.dask.waiting import Granted
from knit_provider.yarn.application import Application
from knit_provider.yarn.errors import ApplicationNotFound, ConfigurationError, KnitError
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.shapes import LIVE_STATES


class DaskYARNCluster(KnitNames):
    """A Dask cluster whose workers are containers of one YARN application.

    What is not given comes from the section ``yarn`` of dask's configuration. With ``n_workers`` it starts at once;
    else its application begins with :meth:`start`, ``scale`` or ``adapt``. It is a ``distributed.SpecCluster``, with
    everything that has: ``scale(n | memory= | cores=)``, ``adapt``, ``get_logs``, ``dashboard_link``,
    ``wait_for_workers``, ``with`` and ``async with``, and a widget in notebooks.

    Args:
        n_workers: workers to begin with; also ``nworkers``.
        memory: of each worker's container: MiB, or text such as ``"4 GiB"`` (default 2 GiB). A worker may fill what is
            left of it after the interpreter and the nanny, about nine tenths.
        cpus: virtual cores and threads of each worker (default 1); also ``cpu``.
        env: the packed Python environment of the workers, as for
            :meth:`Knit.start <knit_provider.yarn.knit.Knit.start>`. It needs distributed, and not knit-provider.
            Default: ``python3`` on the nodes.
        packages, channels: build the environment of these conda packages, instead of ``env``.
        ip: address at which workers reach this process (default: the one that leads to the ResourceManager).
        lang: language setting of the workers (default ``C.UTF-8``).
        queue: YARN queue (default ``default``).
        deploy_mode: where the scheduler runs: ``"local"``, in this process (default), or ``"remote"``, in a container,
            where it can outlive this process.
        name: of the cluster and the application (default ``dask``).
        security: a ``distributed.Security``; default a new key for this cluster alone; False for plain text.
        knit: a ``Knit`` to use; default one made from the remaining arguments (``hadoop_conf_dir``, ``user`` ...).
        asynchronous: for use with ``await``.
        **options: ``container_resources`` (as ``{"yarn.io/gpu": 1}``), ``worker_class``, ``worker_options`` (for it:
            ``resources``, ``preload`` ...), ``worker_env``, ``nanny`` (default True), ``files``, ``max_restarts``,
            ``scheduler_memory``, ``scheduler_cpus``, ``scheduler_options``, ``port``, ``dashboard_address``,
            ``idle_timeout``, ``tags``, ``lifetime``, ``max_attempts``, ``bound``, ``checks``, ``retire_timeout``, and
            ``app_id``, an id from ``Knit.new_application`` that was stored beforehand.

    Raises:
        ConfigurationError: for an argument that cannot be used.
        CheckFailed: the cluster would refuse it, as for more memory than a node has; nothing was submitted.

    Example:
        >>> with DaskYARNCluster(n_workers=4, memory="4 GiB", cpus=2) as cluster:   # doctest: +SKIP
        ...     client = distributed.Client(cluster)
    """

    def __init__(
        self,
        n_workers: int | None = None,
        memory: int | str | None = None,
        cpus: int | None = None,
        *,
        env: str | None = None,
        packages: Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        ip: str | None = None,
        lang: str | None = None,
        queue: str | None = None,
        deploy_mode: str | None = None,
        name: str | None = None,
        security: Security | bool | None = None,
        knit: Knit | None = None,
        nworkers: int | None = None,
        cpu: int | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        _application: Application | None = None,
        _wanted: Callable[[], bool] | None = None,
        **options: Any,
    ) -> None:
        given = {
            "n_workers": same(n_workers, nworkers, "n_workers and nworkers"),
            "memory": memory,
            "cpus": same(cpus, cpu, "cpus and cpu"),
            "env": env,
            "ip": ip,
            "queue": queue,
            "deploy_mode": deploy_mode,
            "name": name,
        }
        self.settings, for_knit = read_settings({**options, **given, "lang": lang})
        if knit is not None and set(for_knit) - {"user"}:
            raise ConfigurationError(
                f"knit= was given, which has {', '.join(sorted(for_knit))} of its own; leave one out"
            )
        self._owns_knit = knit is None
        self.knit = Knit(**for_knit) if knit is None else knit
        self._build_env = _builder(self.knit, self.settings, packages, channels)
        self._app = self._latest = _application
        self._tls = security_of(security)
        self._beginning = Beginning(_wanted)
        self._start_lock = asyncio.Lock()
        self._starting = self._closing = None
        self._looking = self._all_seen = False
        self._final_status, self._diagnostics = "SUCCEEDED", ""
        self.granted = Granted(0, 0)
        indices = range(self.settings.n_workers or 0)
        first = [str(index) for index in indices]
        self._next_name = len(first)
        worker = self._worker_spec()
        try:
            super().__init__(
                workers=dict.fromkeys(first, worker),
                worker=worker,
                asynchronous=asynchronous,
                loop=loop,
                security=self._tls,
                name=self.settings.name,
                shutdown_on_close=_application is None,
            )
        except BaseException:
            if not asynchronous and hasattr(self, "_loop_runner"):
                self._abandon()
            raise

    # -- the application ----------------------------------------------------------------------------------------

    @property
    def application(self) -> Application:
        """The YARN application.

        Raises:
            KnitError: it has not been started yet.
        """
        return self._known_app()

    @property
    def app_id(self) -> str | None:
        """Id of the YARN application, also when it has ended; None before there is one."""
        return None if self._latest is None else self._latest.id

    @classmethod
    def from_application_id(
        cls, app_id: str, *, knit: Knit | None = None, asynchronous: bool = False, **options: Any
    ) -> Any:
        """Go on with a cluster whose scheduler runs in a container; closing this leaves it as it is.

        Args:
            app_id: YARN application id.
            knit: as for the constructor; so are the options.
            asynchronous: for use with ``await``.

        Raises:
            ApplicationNotFound: nobody knows the application.
            KnitError: it has ended, it is not ours to control, or it has no scheduler of its own.
        """
        for_knit = read_settings(options)[1]
        owned = knit is None
        used = Knit(**for_knit) if knit is None else knit
        try:
            app = used.attach(app_id)
            said = _said_by_scheduler(app)
            active = app.control().change_instances(WORKER)
            tls = node.unpack_security(app.secrets())
            cluster = cls(
                knit=used,
                deploy_mode="remote",
                security=tls if tls is not None else False,
                asynchronous=asynchronous,
                _application=app,
                **{**said, "n_workers": 0},
            )
        except BaseException:
            if owned:
                used.close()
            raise
        cluster._owns_knit = owned
        cluster._next_name = int(active["next"])
        for index in active["active"]:
            name = str(index)
            cluster.worker_spec[name] = cluster.new_spec
            cluster.workers[name] = WorkerContainer(name=name)
            cluster.workers[name].status = Status.running
        return cluster

    @classmethod
    def from_name(cls, name: str, *, knit: Knit | None = None, asynchronous: bool = False, **options: Any) -> Any:
        """As :meth:`from_application_id`, for the acting user's one running cluster of this name.

        Raises:
            ApplicationNotFound: there is none.
            ConfigurationError: there are several.
        """
        owned = knit is None
        used = Knit(**read_settings(options)[1]) if knit is None else knit
        try:
            found = [
                str(a["id"])
                for a in used.yarn_api.find(tags=["dask"], types=["knit"], user=used.user, states=LIVE_STATES)
                if a.get("name") == name
            ]
            if not found:
                raise ApplicationNotFound(f"{used.user} has no running Dask cluster named {name!r}; knit dask list")
            if len(found) > 1:
                raise ConfigurationError(
                    f"{used.user} has {len(found)} clusters named {name!r}: {', '.join(found)}; name the id"
                )
            cluster = cls.from_application_id(found[0], knit=used, asynchronous=asynchronous)
        except BaseException:
            if owned:
                used.close()
            raise
        cluster._owns_knit = owned
        return cluster

    def shutdown(self, status: str = "SUCCEEDED", diagnostics: str = "") -> Any:
        """End the application, whoever started it, and close this object.

        Args:
            status: as what it ends: SUCCEEDED (default), FAILED or KILLED.
            diagnostics: why, for its report.
        """
        if status not in ("SUCCEEDED", "FAILED", "KILLED"):
            raise ConfigurationError(f"status is {status!r}; use SUCCEEDED, FAILED or KILLED")
        self.shutdown_on_close = True
        self._final_status, self._diagnostics = status, diagnostics
        return self.close()

    def disconnect(self) -> Any:
        """Close this object and leave the cluster running; :meth:`from_application_id` finds it again.

        Raises:
            ConfigurationError: the scheduler runs in this process.
        """
        if self.settings.deploy_mode != "remote":
            raise ConfigurationError("the scheduler runs in this process and ends with it; use deploy_mode='remote'")
        app = self._known_app()
        if app.bound:
            app.detach()
        self.shutdown_on_close = False
        return self.close()

    def adapt(self, Adaptive: Any = YARNAdaptive, **kwargs: Any) -> Any:  # noqa: N803 - distributed's name
        """Let the number of workers follow the work: ``minimum``, ``maximum`` and distributed's other options."""
        return super().adapt(Adaptive=Adaptive, **kwargs)

    # -- showing ------------------------------------------------------------------------------------------------

    def _scaling_status(self) -> str:
        return f"{super()._scaling_status()}<div>{self._yarn_status()}</div>"

    def _yarn_status(self) -> str:
        """The application, with a link to the ResourceManager's page, and what is missing; as HTML."""
        if self._app is None:
            return "No YARN application yet"
        missing = len(self.observed) < len(self.worker_spec) and self.granted.wanted
        text = f", queue {self.settings.queue}" + (f": {self.granted}" if missing else "")
        page = escape(self.knit.connection.session.page_of(self._app.id), quote=True)
        return f'<a href="{page}" target="_blank" rel="noopener">{self._app.id}</a>{escape(text)}'

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        # Distributed puts it between the rows of a table.
        row = f'<tr><td style="text-align: left;" colspan="2"><strong>YARN:</strong> {self._yarn_status()}</td></tr>'
        return str(super()._repr_html_(cluster_status=cluster_status or row))


def _builder(
    knit: Knit, settings: ClusterSettings, packages: Sequence[str] | None, channels: Sequence[str] | None
) -> Any:
    """What makes the environment when it is needed; None where there is nothing to make."""
    if packages is None:
        if channels:
            raise ConfigurationError("channels are given without packages, which would come from them")
        return None
    if settings.env is not None:
        raise ConfigurationError("env and packages are both given; packages are what an environment is built of")
    creator: Any = knit
    return lambda: creator.create_env(settings.name, packages=list(packages), channels=list(channels or ()) or None)


def _said_by_scheduler(app: Application) -> Mapping[str, Any]:
    report = app.report()
    if report.terminal:
        raise KnitError(f"{app.id} has ended ({report.final_status}); it is no cluster any more. {report.diagnostics}")
    if "dask" not in report.tags:
        raise ConfigurationError(f"{app.id} ({report.name}) is no Dask cluster of knit-provider's")
    said = app.kv.get(node.CLUSTER_KEY)
    if said is None and WORKER in (names := app.services()) and len(names) == 1:
        raise ConfigurationError(
            f"the scheduler of {app.id} runs in the process that started it; only clusters with deploy_mode='remote' "
            "can be gone on with from elsewhere"
        )
    found: dict[str, Any] = json.loads(said if said is not None else app.kv.wait(node.CLUSTER_KEY, 120))
    return found
