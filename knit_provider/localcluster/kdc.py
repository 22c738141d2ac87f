"""A Kerberos realm of the cluster's own: its KDC, its principals and their keytabs, all in the cluster's folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from knit_provider.localcluster.daemon import Launch
from knit_provider.localcluster.ports import LOOPBACK
from knit_provider.localcluster.settings import GUESTS, Layout
from knit_provider.localcluster.users import daemon_user
from knit_provider.localcluster.web import NotReady
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

REALM = "KNIT.LOCAL"
SERVICES = ("nn", "dn", "rm", "nm", "jhs", "HTTP")
MAPPED_USER = "knit"
"""A user whom Hadoop maps to the operating system's user that runs the daemons. A node without a setuid launcher runs
every container as that one, and gives its logs only to an application's user of the same name."""
GATEWAY = "knox"
"""Who a gateway in front of the cluster logs in as. It may act for the daemons' user and the first guest, and for no
other; its keytab is ``Realm.keytab(GATEWAY)``."""

_PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")
# Where distributions keep daemons, which an ordinary user's PATH may lack.
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/mit/sbin:/usr/lib/mit/bin"
_TIMEOUT = 30.0

_KRB5_CONF = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_realm = false
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 ticket_lifetime = 1d
 renew_lifetime = 7d
 forwardable = true
 default_ccache_name = FILE:{cache}
[realms]
 {realm} = {{
  kdc = {address}
 }}
[domain_realm]
 localhost = {realm}
"""

_KDC_CONF = """\
[kdcdefaults]
 kdc_listen = {address}
 kdc_tcp_listen = {address}
[realms]
 {realm} = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 1d
  max_renewable_life = 7d
  supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal
 }}
[logging]
 kdc = FILE:{log}
 admin_server = FILE:{log}
 default = FILE:{log}
"""


@dataclass(frozen=True)
class Realm:
    """The realm of one cluster.

    Attributes:
        layout: the cluster's folder.
        address: ``host:port`` of the KDC.
    """

    layout: Layout
    address: str

    @property
    def folder(self) -> Path:
        """What belongs to Kerberos alone. Its content lets one become anybody in this realm."""
        return self.layout.root / "kerberos"

    @property
    def krb5_conf(self) -> Path:
        """The value for ``KRB5_CONFIG``."""
        return self.folder / "krb5.conf"

    @property
    def cache(self) -> Path:
        """The credential cache of the daemons' user, the value for ``KRB5CCNAME``."""
        return self.folder / "krb5cc"

    @property
    def services_keytab(self) -> Path:
        """The keys of all daemons."""
        return self.folder / "services.keytab"

    @property
    def signature_secret(self) -> Path:
        """What the daemons sign their web sessions with."""
        return self.folder / "http-signature-secret"

    @property
    def users(self) -> tuple[str, ...]:
        """Users with a principal of their own: the daemons' user, ``knit``, and those with a home directory in HDFS."""
        return tuple(dict.fromkeys((daemon_user(), MAPPED_USER, *GUESTS)))

    def principal(self, user: str) -> str:
        """A user's principal."""
        return f"{user}@{REALM}"

    def keytab(self, user: str) -> Path:
        """A user's keytab."""
        return self.folder / "keytabs" / f"{user}.keytab"

    def environment(self) -> dict[str, str]:
        """What makes the Kerberos library of a process use this realm."""
        return {"KRB5_CONFIG": str(self.krb5_conf)}

    def prepare(self) -> None:
        """Writes the configuration, and makes the database with all principals unless it is there.

        Raises:
            ConfigurationError: the system's Kerberos packages are missing.
            ClusterUnavailable: one of their programs failed.
        """
        programs = find_programs()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        text = {"realm": REALM, "address": self.address, "folder": self.folder}
        self.krb5_conf.write_text(_KRB5_CONF.format(cache=self.cache, **text))
        (self.folder / "kdc.conf").write_text(_KDC_CONF.format(log=self.layout.logs / "kdc.log", **text))
        made = self.folder / "made"
        if made.exists():
            return
        for leftover in (*self.folder.glob("principal*"), *self.folder.glob("**/*.keytab")):
            leftover.unlink()
        (self.folder / "keytabs").mkdir(mode=0o700, exist_ok=True)
        (self.folder / "acl").touch()
        self.signature_secret.touch(mode=0o600)
        self.signature_secret.write_text(secrets.token_hex(32))
        self._run([programs["kdb5_util"], "create", "-s", "-r", REALM, "-P", secrets.token_hex(16)])
        wanted: list[tuple[str, Path]] = [(self.principal(user), self.keytab(user)) for user in self.users]
        wanted += [(f"{name}/{host}@{REALM}", self.services_keytab) for name in SERVICES for host in _hosts()]
        wanted += [(f"{GATEWAY}/{host}@{REALM}", self.keytab(GATEWAY)) for host in _hosts()]
        lines = []
        for principal, keytab in wanted:
            lines += [f"addprinc -randkey {principal}", f"ktadd -norandkey -k {keytab} {principal}"]
        self._run([programs["kadmin.local"], "-r", REALM], "\n".join(lines) + "\n")
        missing = [str(keytab) for _, keytab in wanted if not keytab.is_file()]
        if missing:
            raise ClusterUnavailable(f"kadmin.local made no {missing[0]}; its log is {self.layout.logs / 'kdc.log'}")
        made.touch()

    def launch(self) -> Launch:
        """How the KDC is started."""
        command = (find_programs()["krb5kdc"], "-n", "-r", REALM, "-P", self.marker)
        logs = self.layout.logs
        return Launch(command, self._environment(), self.layout.root, logs / "kdc.log", logs / "kdc.out")

    @property
    def marker(self) -> str:
        """The word in the KDC's command line that says whose it is."""
        return str(self.folder / "kdc.pid")

    def check(self) -> None:
        """Asks the KDC for a ticket.

        Raises:
            NotReady: it gave none.
        """
        try:
            self.ticket(daemon_user(), self.folder / "probe")
        except ClusterUnavailable as error:
            raise NotReady(str(error)) from error

    def ticket(self, user: str, cache: Path | None = None, lifetime: str | None = None) -> Path:
        """Gets a ticket for a user out of their keytab.

        Args:
            user: one of :attr:`users`.
            cache: the credential cache, written anew; one in the cluster's folder by default.
            lifetime: as ``kinit -l`` has it, such as ``5m``; a day by default.

        Returns:
            The credential cache.

        Raises:
            ConfigurationError: there is no such user.
            ClusterUnavailable: the KDC gave none.
        """
        keytab = self.keytab(user)
        if not keytab.is_file():
            raise ConfigurationError(f"user {user!r} has no keytab in this realm; there are {', '.join(self.users)}")
        cache = self.folder / f"krb5cc-{user}" if cache is None else cache
        # Whoever reads the cache meanwhile sees the old ticket or the new one.
        fresh = cache.with_name(f"{cache.name}.{secrets.token_hex(4)}")
        command = [find_programs()["kinit"], "-k", "-t", str(keytab), "-c", f"FILE:{fresh}"]
        command += [] if lifetime is None else ["-l", lifetime]
        try:
            self._run([*command, self.principal(user)])
            fresh.replace(cache)
        finally:
            fresh.unlink(missing_ok=True)
        return cache

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM}",
            "LC_ALL": "C",
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            **self.environment(),
        }

    def _run(self, command: list[str], words: str = "") -> None:
        try:
            done = subprocess.run(
                command, input=words, capture_output=True, text=True, env=self._environment(), timeout=_TIMEOUT
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClusterUnavailable(f"{command[0]} failed: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise ClusterUnavailable(f"{Path(command[0]).name} failed with exit code {done.returncode}: {said}")


def settings_for(realm: Realm) -> dict[str, str]:
    """The Hadoop settings that make a cluster a Kerberos one."""
    user = daemon_user()
    keytab = str(realm.services_keytab)
    # All of the keytab's, since clients make a principal of whatever name they call this machine by.
    http = "*"
    secure = {
        "hadoop.security.authentication": "kerberos",
        # It would compare the host in each daemon's principal with the name of its address, of which loopback has many.
        "hadoop.security.authorization": "false",
        "hadoop.rpc.protection": "privacy",
        "hadoop.security.auth_to_local": "\n".join(
            (
                # Hadoop ends the expression at the first closing bracket.
                f"RULE:[2:$1]({'|'.join(SERVICES)})s/.*/{user}/",
                f"RULE:[1:$1]({MAPPED_USER})s/.*/{user}/",
                "DEFAULT",
            )
        ),
        "hadoop.http.filter.initializers": "org.apache.hadoop.security.AuthenticationFilterInitializer",
        "hadoop.http.authentication.type": "kerberos",
        "hadoop.http.authentication.simple.anonymous.allowed": "false",
        "hadoop.http.authentication.kerberos.principal": http,
        "hadoop.http.authentication.kerberos.keytab": keytab,
        "hadoop.http.authentication.signature.secret.file": str(realm.signature_secret),
        "dfs.web.authentication.kerberos.principal": http,
        "dfs.web.authentication.kerberos.keytab": keytab,
        "dfs.block.access.token.enable": "true",
        "dfs.encrypt.data.transfer": "false",
        # Applications are their owners' and the daemons' user's alone, as on clusters that people share. The scheduler
        # would make everybody an administrator of all queues.
        "yarn.acl.enable": "true",
        "yarn.admin.acl": user,
        "yarn.scheduler.capacity.root.acl_administer_queue": user,
        f"hadoop.proxyuser.{GATEWAY}.hosts": LOOPBACK,
        f"hadoop.proxyuser.{GATEWAY}.users": f"{user},{GUESTS[0]}",
        # Else a DataNode wants a port that only root may open, or TLS everywhere.
        "ignore.secure.ports.for.testing": "true",
    }
    for prefix, name in (
        ("dfs.namenode.kerberos.", "nn"),
        ("dfs.datanode.kerberos.", "dn"),
        ("yarn.resourcemanager.", "rm"),
        ("yarn.nodemanager.", "nm"),
        ("mapreduce.jobhistory.", "jhs"),
    ):
        secure[f"{prefix}principal"] = f"{name}/_HOST@{REALM}"
    for key in (
        "dfs.namenode.keytab.file",
        "dfs.datanode.keytab.file",
        "yarn.resourcemanager.keytab",
        "yarn.nodemanager.keytab",
        "mapreduce.jobhistory.keytab",
        "yarn.resourcemanager.webapp.spnego-keytab-file",
        "yarn.nodemanager.webapp.spnego-keytab-file",
        "mapreduce.jobhistory.webapp.spnego-keytab-file",
    ):
        secure[key] = keytab
    for daemon in ("yarn.resourcemanager", "yarn.nodemanager", "mapreduce.jobhistory"):
        secure[f"{daemon}.webapp.spnego-principal"] = http
    return secure


def find_programs() -> dict[str, str]:
    """The paths of Kerberos' own programs.

    Raises:
        ConfigurationError: some are missing; the message names the packages.
    """
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM}"
    found = {name: shutil.which(name, path=path) for name in _PROGRAMS}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        raise ConfigurationError(
            f"A cluster with Kerberos needs {', '.join(missing)}, not found on this machine. Install the packages "
            "krb5-kdc krb5-admin-server krb5-user libkrb5-dev (Debian, Ubuntu) or krb5-server krb5-workstation "
            "krb5-devel (Red Hat)."
        )
    return {name: place for name, place in found.items() if place is not None}


def _hosts() -> Iterator[str]:
    """The names that this machine's loopback address goes by; daemons and clients make principals of them."""
    names = {LOOPBACK, "localhost"}
    with contextlib.suppress(OSError):
        names |= {socket.gethostbyaddr(LOOPBACK)[0].lower()}
    with contextlib.suppress(OSError):
        names |= {socket.getfqdn(LOOPBACK).lower()}
    return iter(sorted(names))
