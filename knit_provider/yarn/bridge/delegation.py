"""Delegation tokens for the filesystems of an application, had over HTTP or borrowed.

WebHDFS hands out a token of a kind of its own (``WEBHDFS delegation``), which neither the ResourceManager renews nor
the NameNodes' RPC port takes. Identifier and password are those of an ordinary HDFS token all the same, so it becomes
one under the other kind and with the service that Hadoop's RPC client looks for: the NameNode's RPC address, or
``ha-hdfs:`` and the nameservice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knit_provider.yarn.bridge.base import Collected
from knit_provider.yarn.bridge.kms import KeyServers, key_provider
from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, ConfigurationError
from knit_provider.yarn.files.choose import root_of
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.tls import Trust, trust_of
from knit_provider.yarn.tokens import HDFS_KIND, BorrowedTokens, Token, hdfs_service

if TYPE_CHECKING:
    from knit_provider.yarn.config import HadoopConf
    from knit_provider.yarn.rest.knox import Topology


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
            ConfigurationError: nothing says who may renew them, or where a NameNode is; or the borrowed tokens cannot
                be read.
            AuthenticationFailed, PermissionDenied, ClusterUnavailable: a NameNode or key server refused, or is away;
                or there is no login, and no borrowed token for it.
        """
        default = self._conf.default_fs
        log_dir = str(self._conf.get("yarn.nodemanager.remote-app-log-dir") or "/")
        roots = dict.fromkeys(root_of(uri, default) for uri in ("/", *filesystems, log_dir))
        borrowed = self._borrowed.to_pass_on() if self._borrowed is not None else {}
        tokens = dict(borrowed)
        for root in roots:
            if root.startswith("hdfs://"):
                self._add(tokens, root)
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
        return principal.replace("_HOST", host.lower())

    def _add(self, tokens: dict[str, Token], root: str) -> None:
        service = hdfs_service(self._conf, root)
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
                tokens[service] = self._fetch(namenodes, root, service)
            keys = key_provider(self._conf, namenodes)
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
        return replace(token, kind=HDFS_KIND, service=service)
