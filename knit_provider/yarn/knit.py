"""``Knit``: the handle that most users hold."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.application import Application
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.connection import Connection
from knit_provider.yarn.errors import ConfigurationError, KnitError, WaitTimeout
from knit_provider.yarn.rest.yarn_api import YARNAPI
from knit_provider.yarn.settings import settings_of
from knit_provider.yarn.spec import DEFAULT_LIFETIME, ApplicationSpec, Master, Resources, Service
from knit_provider.yarn.units import check_int, parse_memory

if TYPE_CHECKING:
    from knit_provider.yarn.logs import LogChunk, LogText
    from knit_provider.yarn.spec.files import FilesLike

log = logging.getLogger(__name__)

DEFAULT_SERVICE = "default"


class Knit:
    """Starts applications on one YARN cluster and follows them.

    One object holds any number of applications; methods about one take ``app_id=None``, which means the last one
    started or attached. Any number of objects, for any users and clusters, live in one process; they share a gateway
    JVM where configuration and user are the same.

    Args:
        autodetect: read the cluster's ``*-site.xml`` files (default True). False reads no file.
        upload_always: upload files even where HDFS has the same content already (default False).
        hdfs_home: a writable directory in HDFS; default the user's home. Files go to ``.knitDeps`` below it.
        knit_home: directory that holds ``knit.jar``; default the one inside the package.
        hdfs: a Files implementation to use in place of the one that is chosen.
        pars: Hadoop properties that override what the files say.
        nn, nn_port: NameNode host and port (default 8020 where ``nn`` is given without a port).
        rm, rm_port: ResourceManager host and the port of its REST interface (default 8088).
        user: user to act as; default ``HADOOP_USER_NAME``, else the operating system's user.
        lang: language setting of the containers (default ``C.UTF-8``).
        replication_factor: of uploaded files (default 3).
        password: for a ResourceManager that wants a password with simple authentication.
        gateway_path: path of a gateway before the cluster, such as Knox's ``/gateway/default/resourcemanager``. See
            "Knox" in the documentation.
        ca_bundle: the CA of a cluster or gateway with TLS: a file (PEM, JKS or PKCS12), or PEM text. See "TLS" in the
            documentation for what is trusted without.
        bridge: what submits: ``"rest"`` is Python alone, ``"jvm"`` starts Hadoop's own client, ``"auto"`` (default)
            takes ``rest`` where it serves and says once why where it doesn't. See "Bridges" in the documentation.
        hadoop_conf_dir: directory of the ``*-site.xml`` files; default from the environment.
        rm_addresses: list of ``host:port``, for a highly available ResourceManager without files.
        hadoop_home, java_home: for the gateway JVM; default what the environment says.
        staging: a directory URI to stage into, where ``fs.defaultFS`` keeps no file modes.
        am_timeout: seconds to wait for an ApplicationMaster where one is needed (default 60).
        lease_seconds: how long a bound application outlives this process (default 90).
        am_classes: whose Hadoop classes an ApplicationMaster starts with: ``"cluster"`` (default) the node's own;
            ``"shipped"`` brings Hadoop's two shaded client jars and an archive of the loaded classes along (90 MB,
            uploaded once), which takes most of its start-up time away. See "Speed" in the documentation.
        principal, keytab: on a cluster with Kerberos, who to log in as and the file with that principal's key.
        ccache: a credential cache in place of the environment's. See "Kerberos" in the documentation.
        keytab_base64: the keytab's content in place of its path. It lies in a private temporary file until
            :meth:`close`.
        proxy_user: whom to act for: applications and files are theirs. The cluster has to allow it
            (``hadoop.proxyuser.*``).

    Raises:
        ConfigurationError: for a parameter or file that cannot be used.

    Example:
        >>> k = Knit()
        >>> app_id = k.start("date", num_containers=2)
        >>> k.wait_for_completion(timeout=60)
        True
    """

    def __init__(
        self,
        autodetect: bool = True,
        upload_always: bool = False,
        hdfs_home: str | None = None,
        knit_home: str | None = None,
        hdfs: Any = None,
        pars: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        settings = settings_of(kwargs)
        conf = settings.load_conf(autodetect, pars)
        self.upload_always = upload_always
        self.lang: str = conf["lang"]
        self.am_timeout = settings.am_timeout
        self.lease_seconds = settings.lease_seconds
        self._connection = Connection(
            conf,
            hdfs_home=hdfs_home,
            staging=settings.staging,
            bridge=settings.bridge,
            java_home=settings.java_home,
            hadoop_home=settings.hadoop_home,
            jar=_jar_in(knit_home),
            files=hdfs,
            am_classes=settings.am_classes,
            principal=settings.principal,
            keytab=settings.keytab,
            ccache=settings.ccache,
            keytab_base64=settings.keytab_base64,
            proxy_user=settings.proxy_user,
        )
        self._applications: dict[str, Application] = {}
        self._others: list[Connection] = []
        self._last: str | None = None
        self._entered = False
        # Runs at interpreter exit too. Applications hold this object, so it is not collected under a handle in use.
        self._at_exit = weakref.finalize(self, _end_bound, self._applications, os.getpid())

    # -- starting -----------------------------------------------------------------------------------------------

    def start(
        self,
        cmd: str | Sequence[str],
        num_containers: int = 1,
        virtual_cores: int = 1,
        memory: int | str = 128,
        env: str | None = None,
        files: FilesLike = None,
        envvars: Mapping[str, str] | None = None,
        app_name: str = "knit",
        queue: str = "default",
        checks: bool = True,
        app_id: str | None = None,
        bound: bool | None = None,
        lifetime: int | str | None = DEFAULT_LIFETIME,
        *,
        container_resources: Mapping[str, int] | None = None,
        max_restarts: int = 0,
        allow_failures: bool = False,
        tags: Sequence[str] = (),
        max_attempts: int = 1,
        priority: int | None = None,
        node_label: str | None = None,
        acls: Mapping[str, Any] | None = None,
        am_memory: int | str = 256,
        am_port_range: str | None = None,
    ) -> str:
        """Start a command in containers and return the application id once the ResourceManager has accepted it.

        Args:
            cmd: a shell command, or a list of arguments that no shell touches.
            num_containers: how many containers run it (default 1).
            virtual_cores: of each container (default 1).
            memory: of each container: MiB, or with a suffix such as ``"2 GiB"`` (default 128).
            env: a Python environment: what :meth:`create_env` returned, a packed archive (local, or its ``hdfs://``
                URI), ``conda://PREFIX_OR_NAME`` or ``venv://PREFIX``, which are packed first, or ``python:///path`` of
                an interpreter that is on every node. Sets ``$PYTHON_BIN`` and ``$CONDA_PREFIX`` in the containers.
            files: local paths or URIs to put into each container's working directory: a list, or a mapping of name
                there to source. Archives (``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``) are unpacked into a directory of
                the archive's name.
            envvars: environment variables of the containers.
            app_name: name shown in YARN (default ``"knit"``).
            queue: queue to submit to (default ``"default"``).
            checks: refuse before submission what the cluster would refuse (default True).
            app_id: an id from :meth:`new_application`, stored by the caller beforehand; starting it again does not
                start a second application.
            bound: the application ends when this process does, by a lease; default True inside ``with Knit()``.
            lifetime: seconds after which YARN ends the application whatever happens (default 7 days); None: never.
            container_resources: further resources of each container, such as ``{"yarn.io/gpu": 1}``.
            max_restarts: how many failed containers are replaced before the application fails; -1: all.
            allow_failures: containers may fail without failing the application.
            tags: at most 9 tags of at most 100 ASCII characters (YARN takes 10, one is ours).
            max_attempts: attempts of the ApplicationMaster (default 1).
            priority, node_label, acls: as YARN has them.
            am_memory: of the ApplicationMaster (default 256 MiB).
            am_port_range: ``"low-high"`` for the ApplicationMaster's control port; default any free port.

        Returns:
            The YARN application id.

        Raises:
            ConfigurationError: for an argument that cannot be used.
            CheckFailed: the cluster would refuse it; nothing was submitted.
            SubmissionRejected: the ResourceManager refused it.
        """
        if isinstance(env, Mapping):
            raise TypeError(
                "env is the packed Python environment (a path or URI); environment variables go into envvars"
            )
        plain = isinstance(cmd, str)
        service = Service(
            instances=check_int(num_containers, "num_containers", minimum=0),
            resources=Resources.of(
                parse_memory(memory, "memory"),
                check_int(virtual_cores, "virtual_cores", minimum=1),
                container_resources,
            ),
            script=str(cmd) if plain else "",
            argv=() if plain else tuple(cmd),
            env=env,
            envvars=envvars,
            files=files,
            max_restarts=max_restarts,
            allow_failures=allow_failures,
        )
        spec = ApplicationSpec(
            name=app_name,
            queue=queue,
            services={DEFAULT_SERVICE: service},
            master=Master(
                resources=Resources(memory=parse_memory(am_memory, "am_memory"), vcores=1),
                port_range=am_port_range or (0, 0),
            ),
            tags=tuple(tags),
            max_attempts=max_attempts,
            priority=priority,
            node_label=node_label or "",
            acls=acls,
            lifetime=lifetime,
        )
        return self.submit(spec, app_id=app_id, checks=checks, bound=bound)

    def submit(
        self,
        spec: ApplicationSpec | Mapping[str, Any] | str | os.PathLike[str],
        app_id: str | None = None,
        *,
        checks: bool = True,
        bound: bool | None = None,
        secrets: Mapping[str, bytes] | None = None,
        still_wanted: Callable[[], bool] | None = None,
    ) -> str:
        """Submit an application of any number of services.

        Args:
            spec: an ApplicationSpec, a dict, or the path of a YAML or JSON file.
            app_id: as in :meth:`start`.
            checks: as in :meth:`start`.
            bound: as in :meth:`start`; default what the spec says, else True inside ``with Knit()``.
            secrets: bytes by name, 64 KiB in all, that reach the containers among their credentials, in no variable,
                log or shipped file. :func:`knit_provider.yarn.container.secrets` reads them there, and the owner has
                them from :meth:`Application.secrets`.
            still_wanted: asked when all is uploaded and checked, right before the ResourceManager hears of it. False
                gives the submission up with a KnitError: for whoever submits in a thread, which cannot be interrupted.

        Returns:
            The YARN application id.

        Raises:
            ConfigurationError: also where the spec's ``staging`` is not this object's.
            CheckFailed, SubmissionRejected: as :meth:`start`.
        """
        from knit_provider.yarn.submission.submit import submit

        wanted = ApplicationSpec.coerce(spec)
        if bound is None:
            bound = wanted.bound if wanted.bound is not None else self._entered
        connection = self._connection.acting_as(wanted.user or self.user)
        if connection is not self._connection:
            self._others.append(connection)
        submitted = submit(
            connection,
            wanted,
            app_id=app_id,
            checks=checks,
            bound=bound,
            lang=self.lang,
            lease_seconds=self.lease_seconds,
            upload_always=self.upload_always,
            shared=secrets,
            still_wanted=still_wanted,
        )
        app = Application(connection, submitted.app_id, submitted.credentials, am_timeout=self.am_timeout)
        self._remember(app)
        if bound:
            app.keep_alive()
        return submitted.app_id

    def new_application(self) -> str:
        """Ask the ResourceManager for an application id.

        Store it, then pass it to :meth:`start` or :meth:`submit`: whatever happens in between, the id tells whether
        the application was submitted, and submitting it again starts nothing twice.
        """
        return self._connection.bridge.new_application().application_id

    def attach(self, app_id: str) -> Application:
        """A handle on an application that any process submitted; it becomes this object's last one.

        Raises:
            ApplicationNotFound: if neither the ResourceManager nor the ledger knows it.
        """
        app = self._applications.get(app_id) or Application(self._connection, app_id, am_timeout=self.am_timeout)
        app.report()
        self._remember(app)
        return app

    def application(self, app_id: str | None = None) -> Application:
        """The handle of an application: the one named, or the last one started or attached.

        Raises:
            KnitError: if none was started or attached yet.
        """
        if app_id is None:
            if self._last is None:
                raise KnitError(
                    "no application was started or attached yet; call start, submit or attach, or pass app_id"
                )
            app_id = self._last
        found = self._applications.get(app_id)
        if found is None:
            found = Application(self._connection, app_id, am_timeout=self.am_timeout)
            found.owner = self
            self._applications[app_id] = found
        return found

    # -- following ----------------------------------------------------------------------------------------------

    def status(self, app_id: str | None = None) -> dict[str, Any]:
        """The ResourceManager's dict about the application."""
        return self.application(app_id).status()

    def runtime_status(self, app_id: str | None = None) -> str:
        """The application's state; ``"NONE"`` where none was started yet."""
        if app_id is None and self._last is None:
            return "NONE"
        return self.application(app_id).state

    def wait_for_completion(self, timeout: float | None = 10, app_id: str | None = None) -> bool:
        """Wait for the end.

        Args:
            timeout: seconds (default 10); None waits to the end.
            app_id: which application; default the last one.

        Returns:
            True only if YARN's final status is SUCCEEDED; False if it failed, was killed or has not ended within
            ``timeout``. The application is not touched.

        Raises:
            ApplicationNotFound: how it ended is not known any more, which is neither.
        """
        try:
            return self.application(app_id).wait_for_end(timeout).succeeded
        except WaitTimeout:
            return False

    def logs(
        self, shell: bool = False, retries: int = 20, delay: float = 3.0, app_id: str | None = None
    ) -> dict[str, dict[str, LogText | Any]]:
        """Logs of all containers; see :meth:`Application.logs <knit_provider.yarn.application.Application.logs>`."""
        return self.application(app_id).logs(shell=shell, retries=retries, delay=delay)

    def iter_logs(self, follow: bool = False, app_id: str | None = None) -> Iterator[LogChunk]:
        """Stream the logs; with ``follow=True`` to the application's end."""
        return self.application(app_id).iter_logs(follow=follow)

    def print_logs(self, shell: bool = False, app_id: str | None = None) -> None:
        """Print :meth:`logs` in a form for reading."""
        self.application(app_id).print_logs(shell=shell)

    def kill(self, app_id: str | None = None) -> bool:
        """Kill the application; waits up to 10 s.

        Returns:
            True only if its state is KILLED; False if it ended otherwise, or none was started yet.
        """
        if app_id is None and self._last is None:
            return False
        return self.application(app_id).kill()

    # -- containers ---------------------------------------------------------------------------------------------

    def add_containers(
        self,
        num_containers: int = 1,
        virtual_cores: int = 1,
        memory: int | str = 128,
        service: str | None = None,
        app_id: str | None = None,
    ) -> None:
        """Ask for further containers; see :meth:`Application.add_containers`."""
        self.application(app_id).add_containers(num_containers, virtual_cores, memory, service)

    def remove_containers(self, container_id: str | Sequence[str], app_id: str | None = None) -> None:
        """Stop one container or several; the application goes on with fewer."""
        self.application(app_id).remove_containers(container_id)

    def get_containers(self, app_id: str | None = None) -> list[dict[str, Any]]:
        """The live containers on all nodes, the ApplicationMaster's included.

        Returns:
            One dict for each container, with the keys of the NodeManager's REST interface (``id``, ``state``,
            ``nodeId``, ``totalMemoryNeededMB`` ...) and ``service`` and ``index`` (None for the ApplicationMaster).
        """
        from knit_provider.yarn.containers import live_containers

        return live_containers(self._connection, self.application(app_id))

    def get_container_statuses(self, app_id: str | None = None) -> dict[str, str]:
        """State of each live container, by id."""
        return {c["id"]: str(c.get("state", "")) for c in self.get_containers(app_id)}

    # -- environments -------------------------------------------------------------------------------------------

    @staticmethod
    def create_env(
        env_name: str | None = None,
        packages: Sequence[str] | None = None,
        remove: bool = False,
        channels: Sequence[str] | None = None,
        conda_pars: Mapping[str, Any] | None = None,
        conda_root: str | None = None,
        **options: Any,
    ) -> str:
        """Build a Python environment and pack it, for ``env=``; works on the class and on objects.

        The same request is built once; from then on its archive comes out of the local cache.

        Args:
            env_name: its name: ASCII letters, digits, ``.``, ``_`` and ``-``; may be left out with ``file``.
            packages: conda specs, such as ``["python=3.11", "pandas"]``; default just ``python``.
            remove: solve and pack anew, whatever was made of this request before (default False).
            channels: conda channels: names, URLs, folders; default what ``.condarc`` says, else ``conda-forge``.
            conda_pars: further parameters of :class:`CondaCreator`, by name.
            conda_root: a conda installation, whose ``.condarc`` and environments count too; none is needed.
            **options: ``file`` (built from that), ``format`` and others: see
                :func:`create <knit_provider.environments.create.create>`.

        Returns:
            The local archive's path; ``start(env=...)`` uploads it if HDFS lacks it.

        Raises:
            EnvironmentBuildError: it cannot be built; the message has the reason.
        """
        from knit_provider.environments.create import create

        return create(env_name, packages, remove, channels, conda_pars, conda_root, **options).path

    # -- files --------------------------------------------------------------------------------------------------

    def list_envs(self) -> list[dict[str, Any]]:
        """The user's packed environments in HDFS, the last used first.

        Returns:
            One dict for each: ``name``, ``digest`` (SHA-256 of the archive), ``size`` (bytes), ``created`` and
            ``last_used`` (datetimes, UTC; the latter to the hour) and ``uri``, which ``env=`` takes.
        """
        from knit_provider.environments.cache import list_published

        return [env.to_dict() for env in list_published(self._connection)]

    def check_needs_upload(self, path: str) -> bool:
        """Whether HDFS lacks the content of a local file (compared by digest, not by name or time)."""
        from knit_provider.yarn.files.transfer import needs_upload

        return self.upload_always or needs_upload(path, self._connection.files, self._connection.paths)

    # -- the object itself --------------------------------------------------------------------------------------

    @property
    def conf(self) -> HadoopConf:
        """The configuration found, a read-only mapping; look here first when something was not found."""
        return self._connection.conf

    @property
    def yarn_api(self) -> YARNAPI:
        """The ResourceManager's REST interface."""
        return self._connection.api

    @property
    def user(self) -> str:
        """The user this object acts as."""
        return self._connection.user

    @property
    def connection(self) -> Connection:
        """The cluster underneath, for the other layers of this package."""
        return self._connection

    def close(self) -> None:
        """End the bound applications and drop all connections; detached applications go on."""
        _end_bound(self._applications, os.getpid())
        for app in self._applications.values():
            app.close()
        for connection in (self._connection, *self._others):
            connection.close()
        self._at_exit.detach()

    def __enter__(self) -> Knit:
        self._entered = True
        return self

    def __exit__(self, *exc: object) -> None:
        self._entered = False
        self.close()

    def __repr__(self) -> str:
        where = ", ".join(self._connection.session.addresses) or "no ResourceManager"
        return f"<Knit {self.user}@{where}, last application: {self._last or 'none'}>"

    def _repr_html_(self) -> str:
        from knit_provider.yarn.html import knit_html

        return knit_html(self, [self._applications[i] for i in list(self._applications)[-10:]])

    def _remember(self, app: Application) -> None:
        app.owner = self
        self._applications[app.id] = app
        self._last = app.id


def _jar_in(knit_home: str | None) -> str | None:
    if knit_home is None:
        return None
    path = os.path.join(knit_home, "knit.jar")
    if not os.path.isfile(path):
        raise ConfigurationError(f"knit_home={knit_home!r} holds no knit.jar; leave it out to use the package's own")
    return path


def _end_bound(applications: dict[str, Application], pid: int) -> None:
    """End what must not outlive its owner: on close, when the handle is collected and at interpreter exit."""
    if os.getpid() != pid:
        return
    for app in list(applications.values()):
        if app.bound:
            try:
                app.kill("its Knit was closed")
            except KnitError as e:
                log.warning("%s was bound to this process and could not be ended now: %s. Its lease ends it", app.id, e)
