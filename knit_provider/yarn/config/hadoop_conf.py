"""``HadoopConf``: everything a client knows about a cluster before it talks to it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knit_provider.yarn.config import layers as kinds
from knit_provider.yarn.config import namenodes, other_cluster, resource_managers
from knit_provider.yarn.config.addresses import parse_address
from knit_provider.yarn.config.cluster_answers import cluster_layer
from knit_provider.yarn.config.defaults import HADOOP_DEFAULTS, RENAMED
from knit_provider.yarn.config.layers import Layer, file_layer, given_layer
from knit_provider.yarn.config.locate import Found, find_site_files
from knit_provider.yarn.config.variables import expand
from knit_provider.yarn.errors import ConfigurationError

_NAMED = ("user", "rm", "rm_port", "rm_port_https", "nn", "nn_port", "replication_factor", "lang", "gateway_path")


class HadoopConf(Mapping[str, Any]):
    """A cluster's configuration: a read-only mapping of Hadoop properties, and of Knit's short names.

    Sources, the first that has a property wins: arguments, ``pars``, an Airflow connection or Prefect block, the
    ``*-site.xml`` files, what the ResourceManager's ``/conf`` answered (see :meth:`with_cluster`), Hadoop's defaults.
    Values are strings, with ``${var}`` expanded and surrounding blanks removed.

    The short names are ``user``, ``rm``, ``rm_port``, ``rm_port_https``, ``nn``, ``nn_port`` (None for a nameservice),
    ``replication_factor``, ``lang`` and ``gateway_path``; ports and the factor are integers. Where nothing says a host
    they are Knit's fallbacks: localhost, 8088, 8090 and 9000. A password is in :attr:`password` and not in the mapping.

    Attributes:
        files: the ``*-site.xml`` files that were read, in reading order.
        directories: where they lie.
        password: what the user gave, or None.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        found: Found | None = None,
        environ: Mapping[str, str] | None = None,
        password: str | None = None,
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._os_user = _os_user()
        self._found = found or Found()
        self._all_layers = list(layers)
        self.password = password
        self.files: list[str] = [str(path) for path in self._found.files]
        self.directories: list[str] = [str(path) for path in self._found.directories]
        self._short: dict[str, Any] = {}
        for layer in reversed(layers):
            self._short.update(layer.short)
        self._layers = self._effective_layers()

    @classmethod
    def load(
        cls,
        autodetect: bool = True,
        hadoop_conf_dir: str | os.PathLike[str] | None = None,
        pars: Mapping[str, Any] | None = None,
        *,
        connection: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        password: str | None = None,
        **arguments: Any,
    ) -> HadoopConf:
        """Read a configuration. Nothing is contacted and the environment is not changed.

        Args:
            autodetect: find and read ``*-site.xml`` files (default True). False reads no file.
            hadoop_conf_dir: the directory that holds them. Default: ``HADOOP_CONF_DIR`` and ``YARN_CONF_DIR``, then
                ``etc/hadoop`` or ``hadoop/conf`` below ``HADOOP_INSTALL`` or ``HADOOP_HOME``, then
                ``/etc/hadoop/conf``.
            pars: Hadoop properties and short names that override connection and files.
            connection: the same from an Airflow connection or a Prefect block; overrides files.
            environ: the environment to read (default ``os.environ``).
            password: for simple HTTP authentication that asks for one.
            **arguments: the short names (``rm=``, ``rm_port=``, ``rm_addresses=``, ``nn=``, ``nn_port=``, ``user=``,
                ``lang=``, ``replication_factor=``, ``gateway_path=``, ``scheme=``, ``ca_bundle=``), which override
                everything; None counts as not given.

        Raises:
            ConfigurationError: for a path that is named and missing, a file that is no Hadoop configuration (with its
                line), or a value that cannot be used.
        """
        environ = dict(os.environ if environ is None else environ)
        if hadoop_conf_dir is not None and not autodetect:
            raise ConfigurationError(
                f"hadoop_conf_dir={os.fspath(hadoop_conf_dir)!r} and autodetect=False contradict each other: the "
                "latter reads no file; leave one of them out"
            )
        secrets = [password]
        for source in (pars, connection):
            secrets += [source["password"]] if isinstance(source, Mapping) and "password" in source else []
        found = Found(looked=["no file, because of autodetect=False"])
        if autodetect:
            directory = None if hadoop_conf_dir is None else os.fspath(hadoop_conf_dir)
            found = find_site_files(directory, environ)
        layers = [
            given_layer(kinds.ARGUMENT, arguments),
            given_layer(kinds.PARS, pars),
            given_layer(kinds.CONNECTION, connection),
            file_layer(found.files, found.directories),
            Layer.of(kinds.DEFAULT, HADOOP_DEFAULTS),
        ]
        return cls(layers, found=found, environ=environ, password=next((s for s in secrets if s), None))

    def with_cluster(self, answers: Mapping[str, Any], source: str = "the ResourceManager's /conf") -> HadoopConf:
        """Return a copy that also knows what the cluster said of itself; it ranks below files, above defaults.

        Args:
            answers: the ResourceManager's ``/conf``, as its JSON or as a mapping of property to value. Its own
                ``*-default.xml`` values and redacted ones are left out.
            source: where they come from, for :meth:`sources`.
        """
        # What answers behind a gateway is not where the ResourceManager is.
        layer = cluster_layer(answers, source, [] if self.short("gateway_path") else self.rm_web_addresses())
        rest = [old for old in self._all_layers if old.kind != kinds.CLUSTER]
        return HadoopConf(
            [*rest[:-1], layer, rest[-1]], found=self._found, environ=self._environ, password=self.password
        )

    def acting_as(self, user: str) -> HadoopConf:
        """Return a copy for another user."""
        if user == self.user:
            return self
        first, *rest = self._all_layers
        layer = Layer(first.kind, first.values, {**first.short, "user": user}, first.origins)
        return HadoopConf([layer, *rest], found=self._found, environ=self._environ, password=self.password)

    # -- reading ------------------------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        if key in _NAMED:
            return self._named(key)
        if key == namenodes.DEFAULT_FS:
            return self.default_fs
        value = self.raw_expanded(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        yield from _NAMED
        yield from self.property_names()

    def __len__(self) -> int:
        return len(_NAMED) + len(self.property_names())

    def __contains__(self, key: object) -> bool:
        return key in _NAMED or key == namenodes.DEFAULT_FS or self.raw(str(key)) is not None

    def get_int(self, key: str, default: int | None = None) -> int:
        """A property as an integer; ``0x`` starts a hexadecimal one.

        Raises:
            ConfigurationError: if it is not set and there is no default, or is no integer.
        """
        value = self.get(key)
        if value is None or value == "":
            if default is None:
                raise ConfigurationError(f"{key} is not set; {self.search_description()}")
            return default
        try:
            return int(str(value), 16 if str(value).lower().lstrip("+-").startswith("0x") else 10)
        except ValueError:
            raise ConfigurationError(f"{key}={value!r} (from {self.sources(key)[0]}) is not a whole number") from None

    def get_bool(self, key: str, default: bool = False) -> bool:
        """A property as a boolean; anything but ``true`` and ``false`` counts as not set, as in Hadoop."""
        return {"true": True, "false": False}.get(str(self.get(key, "")).lower(), default)

    def get_list(self, key: str) -> list[str]:
        """A property that holds names with commas between."""
        return [part.strip() for part in str(self.get(key, "")).split(",") if part.strip()]

    def raw(self, key: str) -> str | None:
        """A property before expansion, or None."""
        key = RENAMED.get(key, key)
        return next((layer.values[key] for layer in self._layers if key in layer.values), None)

    def raw_expanded(self, key: str) -> str | None:
        """A property as its source has it, expanded; short names such as ``nn`` do not bear on it."""
        value = self.raw(key)
        return None if value is None else expand(key, value, self.raw, self._environ, self._os_user).strip()

    def short(self, name: str) -> Any:
        """What the user gave under a short name, or None."""
        return self._short.get(name)

    def sources(self, key: str) -> list[str]:
        """Where a property is set, the one that holds first: a file's path, ``"pars"``, ``"default"`` and so on."""
        if key in kinds.SHORT_NAMES:
            return [layer.kind for layer in self._layers if key in layer.short] or ["default"]
        name = RENAMED.get(key, key)
        return [layer.origin(name) for layer in self._layers if name in layer.values]

    def rank(self, key: str) -> int:
        """How close at hand a property is set: 0 is closest."""
        return next((i for i, layer in enumerate(self._layers) if key in layer.values), len(self._layers))

    def rank_kind(self, key: str) -> str:
        """The kind of the source that a property comes from; ``"default"`` where nothing sets it."""
        rank = self.rank(key)
        return self._layers[rank].kind if rank < len(self._layers) else kinds.DEFAULT

    def property_names(self) -> list[str]:
        """The names of all Hadoop properties that have a value."""
        names = dict.fromkeys(key for layer in self._layers for key in layer.values)
        return sorted({**names, namenodes.DEFAULT_FS: None})

    def set_properties(self) -> dict[str, str]:
        """Every property that somebody set, expanded: all but Hadoop's defaults."""
        names = {key for layer in self._layers if layer.kind != kinds.DEFAULT for key in layer.values}
        return {key: str(self[key]) for key in sorted(names | {namenodes.DEFAULT_FS})}

    def beyond_files(self) -> dict[str, str]:
        """What has to be set on top of :attr:`files` to get this configuration in another process."""
        said = next((layer.values for layer in self._all_layers if layer.kind == kinds.FILE), {})
        beyond = {}
        for key in self.property_names():
            value = self.default_fs if key == namenodes.DEFAULT_FS else self.raw(key)
            if value is not None and value != said.get(key) and (key in said or self.rank_kind(key) != kinds.DEFAULT):
                beyond[key] = value
        beyond[namenodes.DEFAULT_FS] = self.default_fs
        if self.get_bool(resource_managers.HA_ENABLED) and not self.rm_ids:
            beyond[resource_managers.HA_ENABLED] = "false"
        return beyond

    # -- what it says -------------------------------------------------------------------------------------------

    @property
    def user(self) -> str:
        """The user to act as: ``user``, else ``HADOOP_USER_NAME`` (not under Kerberos), else the system's user."""
        named = self.short("user") or (None if self.is_secure else self._environ.get("HADOOP_USER_NAME"))
        return str(named or self._os_user)

    @property
    def is_secure(self) -> bool:
        """Whether the cluster authenticates with Kerberos."""
        return str(self["hadoop.security.authentication"]).lower() == "kerberos"

    @property
    def scheme(self) -> str:
        """``"https"`` where ``yarn.http.policy`` is HTTPS_ONLY, else ``"http"``."""
        return resource_managers.scheme_of(self)

    @property
    def default_fs(self) -> str:
        """URI of the default filesystem."""
        return namenodes.default_fs(self)

    @property
    def rm_ids(self) -> list[str]:
        """Ids of a highly available ResourceManager; empty where there is only one."""
        return resource_managers.rm_ids(self)

    @property
    def rm_is_configured(self) -> bool:
        """Whether anything says where the ResourceManager is; 0.0.0.0, Hadoop's default, says nothing."""
        return resource_managers.is_configured(self)

    def rm_web_addresses(self, scheme: str | None = None) -> list[str]:
        """Base URLs of the ResourceManagers' web interfaces, such as ``http://rm1:8088``; the active may be any.

        Args:
            scheme: ``"http"`` or ``"https"``; default :attr:`scheme`.
        """
        return resource_managers.web_addresses(self, scheme)

    def rm_identity(self) -> str:
        """A name of the cluster for paths, as far as this configuration knows it."""
        return resource_managers.identity(self)

    def namenode_web_addresses(self, filesystem: str | None = None) -> list[str]:
        """Base URLs of the NameNodes behind a filesystem (default :attr:`default_fs`); empty if it is not HDFS."""
        return namenodes.web_addresses(self, filesystem)

    def search_description(self) -> str:
        """One clause for messages: which files were read, or where was looked in vain."""
        if self.files:
            return f"read {', '.join(self.files)}"
        return f"no *-site.xml was read (looked in {', '.join(self._found.looked) or 'no place'})"

    def __repr__(self) -> str:
        where = ", ".join(self.files) or "no files"
        return f"<HadoopConf {where}: user={self.user} fs={self.default_fs} rm={','.join(self.rm_web_addresses())}>"

    # -- inside -------------------------------------------------------------------------------------------------

    def _named(self, name: str) -> Any:
        if name == "user":
            return self.user
        if name in ("nn", "nn_port"):
            node = namenodes.name_node(self)
            return node.host if name == "nn" else node.port
        if name in ("rm", "rm_port"):
            address = parse_address(self.rm_web_addresses()[0], "rm")
            return address.host if name == "rm" else address.port
        if name == "rm_port_https":
            key = "yarn.resourcemanager.webapp.https.address"
            return self.short(name) or parse_address(self[key], key, 8090).port
        if name == "replication_factor":
            return self.short(name) or self.get_int("dfs.replication")
        return self.short(name) or {"lang": "C.UTF-8", "gateway_path": ""}[name]

    def _effective_layers(self) -> list[Layer]:
        """Leave out what files say of another cluster than the user does, and add what the user's words imply."""
        self._layers = list(self._all_layers)
        files = next((layer for layer in self._layers if layer.kind == kinds.FILE), None)
        if files is None:
            return self._layers
        masked = other_cluster.masked_keys(self._short, list(files.values), lambda key: self.raw_expanded(key) or "")
        same = bool(files.values) and not any(key.startswith(resource_managers.RM) for key in masked)
        implied = other_cluster.implied_properties(self._short, same and bool(_rm_places(files)))
        effective = []
        for layer in self._layers:
            if layer.kind == kinds.FILE:
                effective.append(Layer.of(kinds.ARGUMENT, implied, dict.fromkeys(implied, "rm")))
                kept = {key: value for key, value in layer.values.items() if key not in masked}
                effective.append(Layer(layer.kind, kept, layer.short, layer.origins))
            else:
                effective.append(layer)
        return effective


def _rm_places(files: Layer) -> list[str]:
    return [key for key in files.values if key.startswith(resource_managers.RM)]


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as containers often have
        return str(os.getuid())
