"""Delegation tokens for the filesystems of an application, had over HTTP.

WebHDFS hands out a token of a kind of its own (``WEBHDFS delegation``), which neither the ResourceManager renews nor
the NameNodes' RPC port takes. Identifier and password are those of an ordinary HDFS token all the same, so it becomes
one under the other kind and with the service that Hadoop's RPC client looks for: the NameNode's RPC address, or
``ha-hdfs:`` and the nameservice.
"""

from __future__ import annotations

import base64
import binascii
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knit_provider.yarn.config.namenodes import rpc_address
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError
from knit_provider.yarn.files.choose import root_of
from knit_provider.yarn.files.namenodes import NameNodes

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf

HDFS_KIND = "HDFS_DELEGATION_TOKEN"


@dataclass(frozen=True)
class Token:
    """A delegation token of Hadoop's.

    Attributes:
        identifier: what the issuer knows it by.
        password: its secret.
        kind: which renewer and which client it is for.
        service: where it counts.
    """

    identifier: bytes
    password: bytes
    kind: str
    service: str

    def __repr__(self) -> str:
        return f"<Token {self.kind} for {self.service}>"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token in Hadoop's URL-safe form (base64 without padding).

        Raises:
            ValueError: it is none.
        """
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error as e:
            raise ValueError(f"it is not base64: {e}") from e
        fields = []
        for _ in range(4):
            length, data = _read_vint(data)
            if not 0 <= length <= len(data):
                raise ValueError(f"a field of {length} bytes, with {len(data)} to come")
            fields.append(data[:length])
            data = data[length:]
        return cls(fields[0], fields[1], fields[2].decode(), fields[3].decode())

    def to_text(self) -> str:
        """The URL-safe form, as the ResourceManager's REST interface takes it."""
        fields = (self.identifier, self.password, self.kind.encode(), self.service.encode())
        data = b"".join(_vint(len(field)) + field for field in fields)
        return base64.urlsafe_b64encode(data).decode().rstrip("=")


class DelegationTokens:
    """Asks NameNodes for the tokens of one user.

    Args:
        conf: the cluster's configuration, completed by what the ResourceManager says of itself.
        user: the user's short name.
        auth: the ``requests`` authentication that the NameNodes take.
        verify: as in ``requests``.
    """

    def __init__(self, conf: HadoopConf, user: str, auth: Any, verify: bool | str | None = None) -> None:
        self._conf = conf
        self._user = user
        self._auth = auth
        self._verify = verify

    def collect(self, filesystems: Iterable[str]) -> dict[str, str]:
        """A token for each HDFS that the application touches: these, the default one and that of the logs.

        NodeManagers write the logs as the user, with the application's tokens.

        Returns:
            The tokens in their URL-safe form, by service.

        Raises:
            ConfigurationError: nothing says who may renew them, or where a NameNode is.
            AuthenticationFailed, PermissionDenied, ClusterUnavailable: a NameNode refused, or is away.
        """
        default = self._conf.default_fs
        log_dir = str(self._conf.get("yarn.nodemanager.remote-app-log-dir") or "/")
        roots = dict.fromkeys(root_of(uri, default) for uri in ("/", *filesystems, log_dir))
        renewer = self.renewer()
        tokens = {}
        for root in roots:
            if root.startswith("hdfs://"):
                token = self._fetch(root, renewer)
                tokens[token.service] = token.to_text()
        return tokens

    def renewer(self) -> str:
        """Who renews them: the ResourceManager, by its principal.

        Raises:
            ConfigurationError: the configuration does not name it.
        """
        principal = str(self._conf.get("yarn.resourcemanager.principal") or "")
        if not principal:
            raise ConfigurationError(
                "yarn.resourcemanager.principal is not set: on a cluster with Kerberos it names who may renew the "
                "application's tokens"
            )
        # Any of several ResourceManagers: the NameNode looks at the short name only.
        host = urlsplit(self._conf.rm_web_addresses()[0]).hostname or ""
        return principal.replace("_HOST", host.lower())

    def _fetch(self, root: str, renewer: str) -> Token:
        namenodes = NameNodes(self._conf.namenode_web_addresses(root), self._user, self._auth, self._verify)
        try:
            answer = namenodes.call("GET", "GETDELEGATIONTOKEN", "/", renewer=renewer)
        finally:
            namenodes.close()
        found = answer.get("Token")
        text = found.get("urlString") if isinstance(found, dict) else None
        if not text:
            raise ClusterUnavailable(
                f"the NameNode of {root} gave no delegation token to {self._user}: it answers so where it does not "
                'authenticate with Kerberos. Use bridge="jvm" if this cluster does'
            )
        try:
            token = Token.parse(str(text))
        except (ValueError, UnicodeDecodeError) as e:
            raise ClusterUnavailable(f"the NameNode of {root} gave a delegation token that is none: {e}") from e
        return replace(token, kind=HDFS_KIND, service=self._service(root))

    def _service(self, root: str) -> str:
        """Where the token counts, as Hadoop's client writes it."""
        address = rpc_address(self._conf, root)
        if address is None:
            return f"ha-hdfs:{root.partition('://')[2]}"
        if not self._conf.get_bool("hadoop.security.token.service.use_ip", True):
            return f"{address.host.lower()}:{address.port}"
        try:
            return f"{socket.gethostbyname(address.host)}:{address.port}"
        except OSError as e:
            raise ClusterUnavailable(f"the host name of {root} is unknown here: {e}") from e


def _vint(number: int) -> bytes:
    """A length as Hadoop's ``WritableUtils`` writes it."""
    if number <= 127:
        return bytes([number])
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([(-112 - len(data)) & 0xFF]) + data


def _read_vint(data: bytes) -> tuple[int, bytes]:
    if not data:
        raise ValueError("it ends too early")
    first = data[0] - 256 if data[0] > 127 else data[0]
    if first >= -112:
        return first, data[1:]
    size = -112 - first
    if size > 8 or len(data) <= size:
        raise ValueError("a length that is none")
    return int.from_bytes(data[1 : 1 + size], "big"), data[1 + size :]
