"""``YarnCredentials``: how to reach a YARN cluster and who to be there."""

from __future__ import annotations

import base64
import binascii
import difflib
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from prefect.blocks.abstract import CredentialsBlock
from prefect.blocks.fields import SecretDict
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from knit_provider.prefect.looks import LOGO

if TYPE_CHECKING:
    from knit_provider.yarn.knit import Knit

_RM_PORT = 8088
# Prefect's own keys in a block's document.
_OF_PREFECT = ("block_type_slug",)


class YarnCredentials(CredentialsBlock):
    """A YARN cluster and who to be there: simple authentication, Kerberos, or a gateway such as Knox.

    The fields are those of the Airflow connection of type ``yarn``. Everything may be left out: what is not said is
    looked for in the process's own Hadoop configuration, and then asked from the ResourceManager, so that no file has
    to lie where the flow runs.

    Attributes:
        host: the ResourceManager's host, or several, separated by commas; each may carry its own ``:port``.
        port: of its web interface (default 8088).
        login: whom applications run as, with simple authentication. ``user`` is understood too.
        password: where the REST interface or the gateway asks for one.
        scheme: ``http`` or ``https``; default by the configuration.
        rm_addresses: ``host:port`` of each ResourceManager, in place of ``host`` and ``port``.
        gateway_path: path of a gateway before the ResourceManager, such as Knox's.
        ca_bundle: the CA of a cluster or gateway with TLS: a file where the flow runs, or the PEM text itself.
        namenode: host, ``host:port`` or ``hdfs://`` URI.
        hadoop_conf_dir: folder of the ``*-site.xml`` files where the flow runs.
        hadoop_conf: Hadoop properties, which win over the files.
        hdfs_home: a writable folder in HDFS; default the user's home.
        staging: URI of a folder to stage into, where the default filesystem keeps no file modes.
        queue: for jobs that name none.
        bridge: what submits: ``auto`` (default), ``rest`` or ``jvm``.
        principal: Kerberos principal, with ``keytab`` or ``keytab_base64``.
        keytab: path of a keytab where the flow runs.
        keytab_base64: a keytab's content as base64 text, for where no file can be laid.
        ccache: Kerberos credential cache in place of the environment's.
        proxy_user: whom to act for, where the cluster lets the login act for others (``hadoop.proxyuser.*``).

    Example:
        >>> YarnCredentials(host="rm.example.com", login="etl").save("production")
        >>> YarnCredentials.load("production").get_client().yarn_api.cluster_info()["state"]
        'STARTED'
    """

    # Else an error prints what it was given, with the password; Prefect shows it with the flow run.
    model_config = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "YARN Credentials"
    _block_type_slug = "yarn-credentials"
    _logo_url = LOGO
    _description = "A Hadoop YARN cluster and who to be there."

    host: str | None = Field(
        default=None,
        title="ResourceManager",
        description="Host of the ResourceManager, or several, separated by commas; each may carry its own :port.",
    )
    port: int = Field(default=_RM_PORT, gt=0, lt=65536, description="Port of its web interface.")
    login: str | None = Field(
        default=None, title="User", description="Whom applications run as, with simple authentication."
    )
    password: SecretStr | None = Field(
        default=None, description="Where the REST interface or a gateway such as Knox asks for one."
    )
    scheme: str | None = Field(default=None, description="http or https; default by the configuration.")
    rm_addresses: list[str] | None = Field(
        default=None,
        title="ResourceManagers",
        description="host:port of each ResourceManager, in place of host and port.",
    )
    gateway_path: str | None = Field(
        default=None, description="Path of a gateway, such as /gateway/default/resourcemanager."
    )
    ca_bundle: str | None = Field(
        default=None,
        title="CA certificate",
        description="Of a cluster or gateway with TLS: a file where the flow runs, or the PEM text itself.",
    )
    namenode: str | None = Field(default=None, title="NameNode", description="Host, host:port or hdfs:// URI.")
    hadoop_conf_dir: str | None = Field(
        default=None,
        title="Configuration folder",
        description="Folder of the cluster's *-site.xml files where the flow runs.",
    )
    hadoop_conf: SecretDict | None = Field(
        default=None, title="Hadoop properties", description="Properties that win over the files."
    )
    hdfs_home: str | None = Field(default=None, title="HDFS home", description="Default: the user's home.")
    staging: str | None = Field(
        default=None,
        title="Staging folder",
        description="URI of a folder to stage into, where the default filesystem keeps no file modes.",
    )
    queue: str | None = Field(default=None, description="YARN queue of jobs that name none.")
    bridge: str | None = Field(default=None, description="What submits: auto (default), rest or jvm.")
    principal: str | None = Field(default=None, description="Kerberos principal, with a keytab.")
    keytab: str | None = Field(default=None, description="Path of a keytab where the flow runs.")
    keytab_base64: SecretStr | None = Field(
        default=None, title="Keytab's content", description="As base64 text, for where no file can be laid."
    )
    ccache: str | None = Field(
        default=None, title="Credential cache", description="Kerberos credential cache in place of the environment's."
    )
    proxy_user: str | None = Field(
        default=None,
        title="Act for",
        description="The user who owns applications and files, where the cluster lets the login act for others.",
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        # The connection form stores what was left empty as an empty string.
        given = {k: v for k, v in given.items() if v != ""}
        if "user" in given:
            given.setdefault("login", given.pop("user"))
        for name in given:
            if name not in cls.model_fields and name not in _OF_PREFECT and not name.startswith("_"):
                near = difflib.get_close_matches(name, cls.model_fields, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(cls.model_fields)}"
                raise ValueError(f"YarnCredentials has no field {name!r}; {hint}")
        return given

    @field_validator("scheme")
    @classmethod
    def _scheme(cls, value: str | None) -> str | None:
        if value not in (None, "http", "https"):
            raise ValueError(f"scheme={value!r}; use http or https")
        return value

    @model_validator(mode="after")
    def _whole_login(self) -> YarnCredentials:
        if self.keytab and self.keytab_base64:
            raise ValueError("keytab and keytab_base64 are two ways to give one keytab; give one of them")
        if (self.keytab or self.keytab_base64) and not self.principal:
            raise ValueError("a keytab needs principal, whose key in it is meant")
        if self.keytab_base64 is not None:
            _decoded(self.keytab_base64.get_secret_value())
        self._addresses()
        return self

    def get_client(self) -> Knit:
        """A handle on the cluster. Nothing is contacted before its first call; close it, or use it in ``with``.

        Raises:
            ConfigurationError: for a field that cannot be used.
        """
        from knit_provider.yarn.knit import Knit

        arguments = self._arguments()
        folder = None
        if self.keytab_base64 is not None:
            folder = tempfile.mkdtemp(prefix="knit-keytab-")
            arguments["keytab"] = _written(self.keytab_base64.get_secret_value(), folder)
        try:
            knit = Knit(**arguments)
        except BaseException:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if folder is not None:
            # Its tickets are got anew out of the file for as long as the handle lives.
            weakref.finalize(knit, shutil.rmtree, folder, ignore_errors=True)
        return knit

    async def aget_client(self) -> Knit:
        """As :meth:`get_client`, without blocking the event loop while files are read."""
        return await anyio.to_thread.run_sync(self.get_client)

    def _arguments(self) -> dict[str, Any]:
        given = {
            "rm_addresses": self._addresses() or None,
            "scheme": self._scheme_given(),
            "user": self.login,
            "password": self.password.get_secret_value() if self.password else None,
            "nn": self.namenode,
            "pars": self.hadoop_conf.get_secret_value() if self.hadoop_conf else None,
            **{name: getattr(self, name) for name in ("gateway_path", "ca_bundle", "hadoop_conf_dir", "hdfs_home")},
            **{name: getattr(self, name) for name in ("staging", "bridge", "principal", "keytab", "ccache")},
            "proxy_user": self.proxy_user,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _hosts(self) -> list[str]:
        if self.rm_addresses is not None:
            return [a.strip() for a in self.rm_addresses if a.strip()]
        return [h.strip() for h in (self.host or "").split(",") if h.strip()]

    def _scheme_given(self) -> str | None:
        prefixes = [h.partition("://")[0] for h in self._hosts() if "://" in h]
        return self.scheme or (prefixes[0] if prefixes else None)

    def _addresses(self) -> list[str]:
        found = []
        for host in self._hosts():
            bare = host.rpartition("://")[2].rstrip("/")
            name, colon, port = bare.rpartition(":")
            if not colon:
                name, port = bare, str(self.port)
            if not name or not port.isdigit() or any(c in name for c in "/ @?#"):
                raise ValueError(f"{host!r} is not host or host:port of a ResourceManager")
            found.append(f"{name}:{port}")
        if self._scheme_given() not in (None, "http", "https"):
            raise ValueError(f"{self._hosts()[0]!r}: use http or https")
        return found


def client_of(credentials: YarnCredentials | str | None) -> Knit:
    """A handle on the cluster that a caller named.

    Args:
        credentials: the block, its name, or None for what the process's own Hadoop configuration says.
    """
    return block_of(credentials).get_client()


def block_of(credentials: YarnCredentials | str | None) -> YarnCredentials:
    """The block itself; one that was named is loaded from the Prefect server.

    Raises:
        ConfigurationError: for something else than a block or the name of one.
    """
    from knit_provider.yarn.errors import ConfigurationError

    if credentials is None:
        return YarnCredentials()
    if isinstance(credentials, str):
        return _loaded(credentials)
    if isinstance(credentials, YarnCredentials):
        return credentials
    raise ConfigurationError(
        f"credentials is a {type(credentials).__name__}; give a YarnCredentials block, the name of a saved one, or None"
    )


def _loaded(name: str) -> YarnCredentials:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from knit_provider.yarn.errors import ConfigurationError

    # Not Block.load, which returns a coroutine wherever the run around it is async.
    with get_client(sync_client=True) as client:
        try:
            document = client.read_block_document_by_name(
                name, YarnCredentials.get_block_type_slug(), include_secrets=True
            )
        except ObjectNotFound:
            raise ConfigurationError(
                f"there is no YarnCredentials block named {name!r} on the Prefect server; save one with "
                f"YarnCredentials(...).save({name!r})"
            ) from None
    return YarnCredentials(**document.data)


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("keytab_base64 is not base64 text; make it with: base64 -w0 FILE.keytab") from None
    if not content.startswith(b"\x05"):
        raise ValueError("keytab_base64 is base64 of something else than a keytab")
    return content


def _written(text: str, folder: str) -> str:
    path = Path(folder, "keytab")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as f:
        f.write(_decoded(text))
    return str(path)
