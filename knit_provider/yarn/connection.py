"""One cluster as one user sees it: configuration, REST session, files and the bridge that submits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import AuthenticationFailed, ConfigurationError
from knit_provider.yarn.kerberos import KerberosLogin, PrivateKeytab, short_name
from knit_provider.yarn.rest import Session
from knit_provider.yarn.rest.auth import KerberosAuth, TokenAuth
from knit_provider.yarn.rest.yarn_api import YARNAPI
from knit_provider.yarn.tokens import BorrowedTokens, Token

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.base import Bridge
    from knit_provider.yarn.bridge.jvm import JvmBridge
    from knit_provider.yarn.bridge.rest import RestBridge
    from knit_provider.yarn.files.port import Files
    from knit_provider.yarn.report import ApplicationReport
    from knit_provider.yarn.submission.staging import Paths

BRIDGES = ("auto", "rest", "jvm")

_RULES = "hadoop.security.auth_to_local"
# Without these nothing can be submitted or read from the filesystem.
_NEEDED = ("fs.defaultFS", "yarn.resourcemanager.address", "yarn.application.classpath")


class Connection:
    """Everything that is shared by the applications of one cluster and one user.

    Nothing is contacted and no JVM is started before the first call that needs it.

    Args:
        conf: the cluster's configuration; says the user too.
        user: the user to log in as, in place of the configuration's.
        hdfs_home: a writable directory in HDFS; default the user's home directory.
        staging: a directory, with its scheme, to stage into in place of ``hdfs_home``.
        bridge: what submits: ``"rest"`` needs no JVM, ``"jvm"`` serves every cluster, and ``"auto"`` takes the first
            where it can do everything.
        java_home, hadoop_home: for the gateway JVM; default what the environment says.
        files: a Files implementation to use in place of the one that fits.
        am_classes: whose Hadoop classes an ApplicationMaster starts with: ``"cluster"`` or ``"shipped"``.
        principal, keytab, ccache: where the tickets of a cluster with Kerberos come from; see
            :class:`~knit_provider.yarn.kerberos.KerberosLogin`. With none of them, the tokens of the file that
            ``HADOOP_TOKEN_FILE_LOCATION`` names are used too, and stand in for a ticket where there is none.
        keytab_base64: a keytab's content in place of its path.
        proxy_user: whom to act for, where the cluster lets the login do that.

    Attributes:
        user: who owns the applications and files: ``proxy_user``, else ``caller``.
        caller: who logs in.

    Raises:
        ConfigurationError: for an argument that cannot be used, or a user who is not the one with the ticket.
    """

    def __init__(
        self,
        conf: HadoopConf,
        *,
        user: str | None = None,
        hdfs_home: str | None = None,
        staging: str | None = None,
        bridge: str = "auto",
        java_home: str | None = None,
        hadoop_home: str | None = None,
        jar: str | None = None,
        files: Files | None = None,
        am_classes: str = "cluster",
        principal: str | None = None,
        keytab: str | None = None,
        ccache: str | None = None,
        keytab_base64: str | None = None,
        proxy_user: str | None = None,
    ) -> None:
        if bridge not in BRIDGES:
            raise ConfigurationError(f"bridge={bridge!r} is not one of {', '.join(BRIDGES)}")
        self.conf = conf
        self._keytab = None if keytab_base64 is None else PrivateKeytab(keytab_base64, keytab)
        self.login = KerberosLogin(principal, keytab if self._keytab is None else self._keytab.path, ccache)
        given = self.login != KerberosLogin()
        # Without any file a login is what tells that the cluster has Kerberos, before anybody can be asked.
        self._has_kerberos = conf.is_secure or given
        self._borrowed = None if given or proxy_user else BorrowedTokens.of_environment()
        # Whoever has no ticket lives on what was lent to them.
        self._by_tokens = (
            self._has_kerberos and self._borrowed is not None and not conf.password and self.login.who() is None
        )
        self.proxy_user = _checked_user(proxy_user)
        # A password is the login then. A ticket that happens to be there says nothing about that user; a keytab that is
        # given beside it is the application's, and has to be theirs.
        self._by_ticket = self._has_kerberos and (given or not conf.password)
        self.caller = self._user_of_ticket(user, conf) if self._by_ticket else user or conf.user
        self.user = self.proxy_user or self.caller
        self.hdfs_home = hdfs_home
        self.jar = jar
        self.am_classes = am_classes
        self._staging = staging
        self.java_home = java_home
        self.hadoop_home = hadoop_home
        self._given_files = files
        self._lock = threading.RLock()
        self._full_conf: HadoopConf | None = None
        self._bridge_kind = bridge
        self._bridge: Bridge | None = None
        self._jvm: JvmBridge | None = None
        self._files: Files | None = None
        self._paths: Paths | None = None
        # None is what the session finds right by itself: a password where there is one, else the default ticket.
        kerberos = self._has_kerberos and not conf.password and not self._by_tokens
        self._auth = KerberosAuth(self.login) if kerberos else None
        auth = TokenAuth(lambda: self._rm_token().to_text(), conf.rm_web_addresses()) if self._by_tokens else self._auth
        self.session = Session(conf, user=self.caller, auth=auth, acted_for=self.proxy_user)
        self.api = YARNAPI(session=self.session)

    @property
    def full_conf(self) -> HadoopConf:
        """The configuration, completed by what the ResourceManager says of itself where the files leave gaps.

        Status, wait and kill do without; the filesystem, submission and the ApplicationMaster need it.
        """
        with self._lock:
            if self._full_conf is None:
                if all(self.conf.rank_kind(key) != "default" for key in _NEEDED):
                    self._full_conf = self.conf
                else:
                    self._full_conf = self.conf.with_cluster(self.api.cluster_conf())
                    if self._by_ticket and not self.conf.get(_RULES):
                        self.caller = self.session.caller = self._user_of_ticket(None, self._full_conf)
                        self.user = self.session.user
                policy = str(self._full_conf.get("yarn.http.policy", ""))
                self.session.node_scheme = "https" if policy.upper() == "HTTPS_ONLY" else "http"
            return self._full_conf

    @property
    def _web_auth(self) -> Any:
        """What the web ports of HDFS are asked with; None where a user's name does."""
        return self._auth or (self.session.auth if self.session.topology is not None else None)

    @property
    def bridge(self) -> Bridge:
        """What submits. Where it is the gateway JVM, that starts with the first call.

        Raises:
            ConfigurationError: with ``bridge="auto"``, neither serves here; says why.
            ClusterUnavailable: with ``bridge="auto"``, the cluster is away and cannot be asked what it allows.
        """
        with self._lock:
            if self._bridge is None:
                self._bridge = self._chosen_bridge()
            return self._bridge

    def _chosen_bridge(self) -> Bridge:
        jvm = self._jvm_bridge() if self._bridge_kind == "jvm" else None
        # What Java would say of a missing ticket names no way out.
        self.check_login()
        if jvm is not None:
            return jvm
        if self._bridge_kind == "rest":
            return self._rest_bridge()
        from knit_provider.yarn.bridge.choose import needs_java, why_not_rest

        rest = self._rest_bridge(self._jvm_bridge)
        key = (*self.session.addresses, self.session.gateway_path, self.full_conf.default_fs, self.user)
        reason = why_not_rest(key, self._staging or self.full_conf.default_fs, rest)
        if reason is None:
            return rest
        try:
            jvm = self._jvm_bridge()
        except ConfigurationError as e:
            raise type(reason)(f"nothing can be submitted by REST: {reason}; and not otherwise: {e}") from e
        needs_java(reason, jvm.settings)
        return jvm

    def _rest_bridge(self, fallback: Callable[[], Bridge] | None = None) -> RestBridge:
        from knit_provider.yarn.bridge.rest import RestBridge

        tokens = None
        if self.secure:
            from knit_provider.yarn.bridge.delegation import DelegationTokens

            tokens = DelegationTokens(
                self.full_conf,
                self.caller,
                self._web_auth,
                acted_for=self.proxy_user,
                borrowed=self._borrowed,
                topology=self.session.topology,
            )
        owner = self.proxy_user or (None if self.secure or self.conf.password else self.user)
        return RestBridge(self.api, self.full_conf, self.files, user=owner, tokens=tokens, fallback=fallback)

    def _jvm_bridge(self) -> JvmBridge:
        with self._lock:
            if self._jvm is None:
                from knit_provider.yarn.bridge.jvm import JvmBridge

                unfit = self._not_our_ticket()
                if unfit is not None:
                    raise ConfigurationError(f"a JVM logs in with a ticket, and {unfit}")
                self._jvm = JvmBridge(
                    self.full_conf,
                    user=self.caller,
                    proxy_user=self.proxy_user,
                    principal=self.login.principal,
                    keytab=self.login.keytab,
                    ccache=self.login.cache_file if self.secure and not self._by_tokens else None,
                    token_file=self._borrowed.path if self._borrowed is not None else None,
                    java_home=self.java_home,
                    hadoop_home=self.hadoop_home,
                )
            return self._jvm

    @property
    def files(self) -> Files:
        """The filesystem that staging lies in: what serves it without a JVM, else the gateway."""
        with self._lock:
            if self._files is None:
                from knit_provider.yarn.files.choose import ChosenFiles

                self._files = self._given_files or ChosenFiles(
                    self.full_conf,
                    self.user,
                    None if self._bridge_kind == "rest" else lambda: self._jvm_bridge().files,
                    self._staging,
                    self._web_auth,
                    principal=self.login.principal,
                    keytab=self.login.keytab,
                    ccache=self.login.ccache,
                    caller=None if self.proxy_user is None else self.caller,
                    borrowed=self._borrowed if self._by_tokens else None,
                    topology=self.session.topology,
                    no_native=self._not_our_ticket(),
                )
            return self._files

    @property
    def paths(self) -> Paths:
        """Where the user's cache, staging directories and ledger lie."""
        with self._lock:
            if self._paths is None:
                from knit_provider.yarn.submission.staging import Paths

                self._paths = Paths.of(self.files, self.api.rm_identity(), self._staging or self.hdfs_home)
            return self._paths

    @property
    def staging(self) -> str | None:
        """The directory to stage into that was given, with its scheme."""
        return self._staging

    def acting_as(self, user: str) -> Connection:
        """The same cluster as another user, for a spec that names one.

        With Kerberos, or where we act for somebody already, the login acts for that user.

        Raises:
            ConfigurationError: a gateway is in front, which says by itself who asks.
        """
        if user == self.user:
            return self
        by_proxy = self.session.topology is not None or self.secure or self.proxy_user is not None
        return Connection(
            self.conf,
            user=None if self.secure else self.caller if by_proxy else user,
            proxy_user=user if by_proxy and user != self.caller else None,
            principal=self.login.principal,
            keytab=self.login.keytab,
            ccache=self.login.ccache,
            hdfs_home=self.hdfs_home,
            staging=self._staging,
            java_home=self.java_home,
            hadoop_home=self.hadoop_home,
            jar=self.jar,
            files=self._given_files,
            am_classes=self.am_classes,
            bridge=self._bridge_kind,
        )

    def _user_of_ticket(self, user: str | None, conf: HadoopConf) -> str:
        """Who Hadoop takes the ticket's principal for; without a ticket, whoever was named or runs this."""
        ours = f"the Kerberos ticket is {principal}'s" if (principal := self.login.who()) else ""
        if self._by_tokens and self._borrowed is not None and (principal := self._borrowed.owner(conf)):
            ours = f"the tokens in {self._borrowed.path} are {principal}'s"
        given = user or self.conf.short("user")
        if principal is None:
            return str(given or self.conf.user)
        found = short_name(principal, conf.get(_RULES))
        if given and given != found:
            raise ConfigurationError(
                f"user={given!r}, but {ours}, who is {found} on this cluster; get a ticket for {given} (kinit, or "
                f"principal= and keytab=), or leave user out. To act for {given}, where the cluster lets {found} do "
                f"that, give proxy_user={given!r}"
            )
        return found

    def _not_our_ticket(self) -> str | None:
        """Why a ticket that is found here does not stand for the password's user; None where it does, or need not."""
        if not self.conf.password or self._by_ticket or not self.secure:
            return None
        principal = self.login.who()
        if principal is not None and short_name(principal, self.full_conf.get(_RULES)) == self.caller:
            return None
        there = "there is none here" if principal is None else f"the one here is {principal}'s"
        return f"{there}, while the password is {self.caller}'s; give principal= and keytab= beside it"

    def _rm_token(self) -> Token:
        borrowed = self._borrowed
        token = borrowed.for_resource_manager(self._full_conf or self.conf) if borrowed is not None else None
        if token is None:
            raise AuthenticationFailed(
                "there is no Kerberos ticket, and no token for the ResourceManager: "
                f"{borrowed.described() if borrowed is not None else 'nothing is borrowed'}. Run kinit, or give "
                "principal= and keytab="
            )
        return token

    def check_login(self) -> None:
        """Make sure, before anything is begun, that there is a ticket where the cluster wants one.

        Raises:
            ConfigurationError, AuthenticationFailed: there is none; the message says what to do.
        """
        if self._by_tokens:
            self._rm_token()
        elif self._auth is not None:
            self.login.check()
        if self._by_tokens or self._auth is not None:
            _ = self.full_conf  # Its rules may call the principal by another name than the files here.

    def prestart(self) -> None:
        """Begin to start what submission needs, so that it is up when the checks are done."""
        self.bridge.prestart()

    @property
    def secure(self) -> bool:
        """Whether the cluster authenticates with Kerberos.

        Whoever comes with a password, to a gateway say, need have nothing that tells it; then the cluster is asked.
        """
        return self._has_kerberos or (bool(self.conf.password) and self.full_conf.is_secure)

    @property
    def by_tokens(self) -> bool:
        """Whether borrowed tokens stand in for a ticket."""
        return self._by_tokens

    def borrowed_tokens(self) -> str:
        """Which tokens were lent, for messages."""
        return self._borrowed.described() if self._borrowed is not None else "none"

    def tidy(self, report: ApplicationReport) -> None:
        """Do what the ApplicationMaster of an application that has ended could not: say how, and remove its staging."""
        from knit_provider.yarn.submission.journal import note_end

        staging = self.paths.staging(report.id)
        if self.files.status(staging) is not None:
            note_end(self.files, self.paths, report)
            self.files.delete(staging, recursive=True)

    def close(self) -> None:
        """End what this connection holds; the gateway JVM ends with its last user."""
        with self._lock:
            for bridge in (self._bridge, self._jvm):
                if bridge is not None:
                    bridge.close()
            self._bridge = self._jvm = None
            self._files = None
        self.session.close()
        if self._keytab is not None:
            self._keytab.remove()


def _checked_user(proxy_user: str | None) -> str | None:
    if proxy_user is not None and (not isinstance(proxy_user, str) or not proxy_user.strip()):
        raise ConfigurationError(f"proxy_user={proxy_user!r} is no user's name; leave it out or give a string")
    return proxy_user
