"""Delegation tokens for the filesystems of an application, had over HTTP or borrowed.

WebHDFS hands out a token of a kind of its own (``WEBHDFS delegation``), which neither the ResourceManager renews nor
the NameNodes' RPC port takes. Identifier and password are those of an ordinary HDFS token all the same, so it becomes
one under the other kind and with the service that Hadoop's RPC client looks for: the NameNode's RPC address, or
``ha-hdfs:`` and the nameservice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from knit_provider.yarn.bridge.base import Collected
from knit_provider.yarn.bridge.kms import KeyServers, key_provider
from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, ConfigurationError
from knit_provider.yarn.files.choose import root_of
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.files.port import RemoteFileNotFound
from knit_provider.yarn.tls import Trust, trust_of
from knit_provider.yarn.tokens import HDFS_KIND, BorrowedTokens, Token, hdfs_service, rm_addresses

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.rest.knox import Topology

_log = logging.getLogger(__name__)


class DelegationTokens:
    """Asks NameNodes and key servers for the tokens of one user.

    Args:
        conf: the cluster's configuration, completed by what the ResourceManager says of itself.
        user: the user's short name.
        auth: the ``requests`` authentication that the NameNodes take; None where there is no login, only ``borrowed``
            tokens.
        verify: as in ``requests``; default whom the configuration trusts.
        acted_for: whom the login acts for (``doas``), if it is not for itself.
        borrowed: tokens that the application gets too; what there is among them is not asked for again.
        topology: of the gateway through which NameNodes are asked.
    """

    def __init__(
        self,
        conf: HadoopConf,
        user: str,
        auth: Any,
        verify: bool | str | Trust | None = None,
        *,
        acted_for: str | None = None,
        borrowed: BorrowedTokens | None = None,
        topology: Topology | None = None,
    ) -> None:
        self._conf = conf
        self._user = user
        self._auth = auth
        self._verify = trust_of(conf) if verify is None else verify
        self._topology = topology
        self._acted_for = acted_for
        self._borrowed = borrowed

    def collect(self, filesystems: Iterable[str]) -> Collected:
        """A token for each HDFS that the application touches, and for the key servers of their encryption zones.

        These are the ones named, the default one and that of the logs: NodeManagers write those as the user, with the
        application's tokens.

        Raises:
            ConfigurationError: nothing says who may renew them, or where a NameNode is; the borrowed tokens cannot be
                read; or a gateway leads to HttpFS, or not to the key server of a path that lies in a zone.
            AuthenticationFailed, PermissionDenied, ClusterUnavailable: a NameNode or key server refused, or is away;
                or there is no login, and no borrowed token for it.
        """
        filesystems = list(filesystems)
        default = self._conf.default_fs
        log_dir = str(self._conf.get("yarn.nodemanager.remote-app-log-dir") or "/")
        roots = dict.fromkeys(root_of(uri, default) for uri in ("/", *filesystems, log_dir))
        borrowed = self._borrowed.to_pass_on() if self._borrowed is not None else {}
        tokens = dict(borrowed)
        for root in roots:
            if root.startswith("hdfs://"):
                uris = [uri for uri in filesystems if root_of(uri, default) == root]
                self._add(tokens, root, uris)
        return Collected({service: token.to_text() for service, token in tokens.items()}, bool(borrowed))

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
        if self._topology is not None:
            # That is the gateway.
            host = next((address.host for address in rm_addresses(self._conf)), host)
        return principal.replace("_HOST", host.lower())

    def _add(self, tokens: dict[str, Token], root: str, uris: Collection[str]) -> None:
        try:
            service = hdfs_service(self._conf, root)
        except ClusterUnavailable:
            # Outside a gateway the cluster's names need mean nothing. The NameNode knows what it is called inside.
            if self._topology is None:
                raise
            service = ""
        if self._auth is None:
            # With tokens alone nobody gets further ones, neither here nor from a key server.
            if service not in tokens:
                raise AuthenticationFailed(
                    f"there is no Kerberos ticket, and no token for {root} (service {service}): "
                    f"{self._borrowed.described() if self._borrowed else 'nothing is borrowed'}"
                )
            return
        topology = self._topology
        addresses = [topology.url] if topology is not None else self._conf.namenode_web_addresses(root)
        namenodes = NameNodes(
            addresses, self._user, self._auth, self._verify, acted_for=self._acted_for, topology=topology
        )
        try:
            if service not in tokens:
                token = self._fetch(namenodes, root, service)
                tokens[token.service] = token
            keys = key_provider(self._conf, namenodes)
            if keys is not None and keys not in tokens and topology is not None:
                self._go_without(keys, namenodes, topology, uris)
                keys = None
        finally:
            namenodes.close()
        if keys is not None and keys not in tokens:
            with KeyServers(keys, self._auth, self._verify, acted_for=self._acted_for) as servers:
                tokens[keys] = servers.token(self.renewer())

    def _fetch(self, namenodes: NameNodes, root: str, service: str) -> Token:
        answer = namenodes.call("GET", "GETDELEGATIONTOKEN", "/", renewer=self.renewer())
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
        if not token.service:
            # A NameNode names itself there. HttpFS signs tokens of its own, which nobody else takes.
            raise ConfigurationError(
                f"what serves WebHDFS for {root} at {namenodes.addresses[0]} gave a delegation token that the NameNode "
                "does not know, as HttpFS does: an application cannot use it. "
                + (
                    "Have the topology's WEBHDFS point to the NameNodes, or use one where it does"
                    if self._topology is not None
                    else "Let dfs.namenode.http-address name the NameNode itself"
                )
            )
        return replace(token, kind=HDFS_KIND, service=self._inside(token.service, service))

    def _inside(self, said: str, found: str) -> str:
        """Where a token counts: as the NameNode says where names may mean another place here than behind a gateway."""
        if self._topology is None or found.startswith("ha-hdfs:"):
            return found
        # A machine may take its own name for loopback, which is of no use to others.
        own = said.startswith("127.") and found and not found.startswith("127.")
        return found if own else said

    def _go_without(self, keys: str, namenodes: NameNodes, topology: Topology, uris: Iterable[str]) -> None:
        """No gateway leads to a key server, which only those who open an encryption zone need.

        Raises:
            ConfigurationError: the application does.
        """
        for uri in uris:
            if _is_in_zone(namenodes, unquote(urlsplit(uri).path) or "/"):
                raise ConfigurationError(
                    f"{uri} lies in an encryption zone, for which the application needs a token of the key server "
                    f"{keys}, and the gateway {topology.url} does not lead there. Use folders outside the zone "
                    "(hdfs_home=), or a file with a kms-dt token in HADOOP_TOKEN_FILE_LOCATION"
                )
        _log.warning(
            "the application gets no token of the key server %s, to which the gateway %s does not lead: it will read "
            "nothing in an encryption zone",
            keys,
            topology.url,
        )


def _is_in_zone(namenodes: NameNodes, path: str) -> bool:
    """Whether what is at a path, or would be made there, is encrypted."""
    while True:
        try:
            status = namenodes.call("GET", "GETFILESTATUS", path).get("FileStatus")
            return isinstance(status, dict) and bool(status.get("encBit"))
        except RemoteFileNotFound:
            if path == "/":
                raise
            path = path.rstrip("/").rpartition("/")[0] or "/"
