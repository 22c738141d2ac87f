"""Who we are to a cluster with Kerberos: a principal with its keytab, or the ticket in a credential cache."""

from __future__ import annotations

import base64
import os
import re
import shutil
import tempfile
import uuid
import weakref
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from knit_provider.yarn.errors import AuthenticationFailed, ConfigurationError

PACKAGES = "krb5-user libkrb5-dev gcc (Debian, Ubuntu) or krb5-workstation krb5-devel gcc (Red Hat)"

# Error codes of the Kerberos library, the same in every language that its texts come in.
_NO_CACHE, _CANNOT_OPEN_CONFIG, _NO_REALM = (-1765328189, -1765328243), -1765328249, (-1765328230, -1765328160)
_UNREACHABLE, _SKEW, _EXPIRED = -1765328228, -1765328347, (-1765328352, -1765328351)
_WRONG_KEY, _UNKNOWN_CLIENT, _UNKNOWN_SERVER = (-1765328353, -1765328360), -1765328378, -1765328377
_OTHER_PRINCIPAL = 39756032


@dataclass(frozen=True)
class KerberosLogin:
    """How to get tickets; with nothing given, from the environment's cache (``KRB5CCNAME``, else the default one).

    The Kerberos library reads ``KRB5_CONFIG`` and ``KRB5CCNAME`` from the environment of the process; nothing here
    changes it. Objects can be shared between threads.

    Attributes:
        principal: such as ``etl@EXAMPLE.COM``; goes with ``keytab``. With a cache it has to be the cache's.
        keytab: path of a keytab. Its tickets are kept in memory and got anew before they expire.
        ccache: a credential cache in place of the environment's: a path, or a name such as ``FILE:/tmp/krb5cc_1``.

    Raises:
        ConfigurationError: for a combination that says two things, or a keytab that cannot be read.
    """

    principal: str | None = None
    keytab: str | None = None
    ccache: str | None = None
    _memory: str = field(
        default_factory=lambda: f"MEMORY:knit-{uuid.uuid4().hex}", init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("principal", "keytab", "ccache"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value.strip()):
                raise ConfigurationError(f"{name}={value!r} is no {name}; leave it out or give a string")
        if self.keytab is None:
            return
        if self.principal is None:
            raise ConfigurationError(f"keytab={self.keytab!r} needs principal=, whose key in it is meant")
        if self.ccache is not None:
            raise ConfigurationError("keytab= and ccache= are two ways to log in; give one of them")
        if not os.access(self.keytab, os.R_OK) or not os.path.isfile(self.keytab):
            raise ConfigurationError(f"keytab={self.keytab!r} is no file that this user can read")

    @property
    def cache_file(self) -> str | None:
        """The path of ``ccache``, else of what ``KRB5CCNAME`` names; None where both are missing, or for a keytab.

        Raises:
            ConfigurationError: it is of a kind that is no file, which only C programs can read.
        """
        name = None if self.keytab else self.ccache or os.environ.get("KRB5CCNAME")
        return cache_path(name) if name else None

    def credentials(self) -> Any:
        """Credentials as ``gssapi`` has them, good for now.

        Raises:
            ConfigurationError: the Python package or the system's library is missing.
            AuthenticationFailed: there is no ticket, or it has expired, or the KDC gives none; the message says what
                to do.
        """
        gssapi = import_gssapi()
        name = None
        if self.principal is not None:
            name = gssapi.Name(self.principal, gssapi.NameType.kerberos_principal)
        try:
            found = gssapi.Credentials(name=name, usage="initiate", mechs=[gssapi.MechType.kerberos], store=self._store)
            # A look at the ticket: acquiring alone says nothing of an expired one.
            if found.lifetime == 0:
                raise AuthenticationFailed(self._expired())
        except gssapi.exceptions.ExpiredCredentialsError as error:
            raise AuthenticationFailed(self._expired()) from error
        except gssapi.exceptions.GSSError as error:
            raise AuthenticationFailed(self.describe(error)) from error
        return gssapi.Credentials(name=name, usage="initiate", store=self._store)

    def check(self) -> None:
        """Make sure that there is a ticket.

        Raises:
            ConfigurationError, AuthenticationFailed: as for :meth:`credentials`.
        """
        self.credentials()

    @cached_property
    def _store(self) -> dict[str, str] | None:
        if self.keytab is not None:
            return {"client_keytab": self.keytab, "ccache": self._memory}
        return {"ccache": self.ccache} if self.ccache is not None else None

    def who(self) -> str | None:
        """The principal, as given or as the cache has it; None where nobody has a ticket."""
        if self.principal is not None:
            return self.principal
        try:
            return str(self.credentials().name)
        except (AuthenticationFailed, ConfigurationError):
            return None

    def describe(self, error: Any, host: str = "") -> str:
        """What an error of the Kerberos library means, and the way out.

        Args:
            error: a ``GSSError`` of the Kerberos mechanism.
            host: whose service the ticket was for.
        """
        code = int(error.min_code)
        code = code - (1 << 32) if code >> 31 else code
        said = error.get_all_statuses(error.min_code, False)[0] if error.min_code else str(error)
        words = str(said.decode(errors="replace") if isinstance(said, bytes) else said)
        conf = os.environ.get("KRB5_CONFIG") or "/etc/krb5.conf"
        if code in _NO_CACHE and self.keytab is not None:
            return f"the keytab {self.keytab} has no key of {self.principal}; `klist -k` shows whose it has"
        if code in _NO_CACHE:
            return f"there is no Kerberos ticket ({words}): run kinit, or give principal= and keytab="
        if code == _OTHER_PRINCIPAL:
            return f"the credential cache holds no ticket of {self.principal} ({words}): kinit {self.principal}"
        if code in _EXPIRED:
            return self._expired()
        if code in _WRONG_KEY:
            return f"the key of {self.principal} in {self.keytab} is not the KDC's any more ({words}): get a new keytab"
        if code == _UNKNOWN_CLIENT:
            return f"the KDC does not know {self.principal} ({words}): correct principal="
        if code == _UNKNOWN_SERVER:
            return (
                f"the KDC knows no web service on {host} ({words}): give the daemons' hosts by the names in their "
                f"principals (HTTP/{host}), and look at domain_realm and dns_canonicalize_hostname in {conf}"
            )
        if code == _SKEW:
            return f"the clocks here and at the KDC or {host or 'the server'} differ ({words}): set them right"
        if code == _UNREACHABLE:
            return f"the KDC is not reachable ({words}): is it up, and does {conf} name the right one?"
        if code in _NO_REALM or code == _CANNOT_OPEN_CONFIG:
            return f"{conf} does not say where the KDC is ({words}): set KRB5_CONFIG, or correct that file"
        return f"Kerberos failed{f' for {host}' if host else ''}: {words}"

    def _expired(self) -> str:
        if self.keytab is not None:
            return f"the ticket of {self.principal} has expired and the KDC gives no new one"
        return f"the Kerberos ticket in {self.ccache or 'the credential cache'} has expired: run kinit again"


class PrivateKeytab:
    """A keytab that came as text, in a file of its own that only this user can read.

    The file goes with :meth:`remove`, with this object, or with the process; a process that is killed leaves it.

    Args:
        text: the keytab in base64; white space does not count.
        other: a keytab that was given too, which is one too many.

    Attributes:
        path: of the file.

    Raises:
        ConfigurationError: it is no keytab; says nothing of what it is.
    """

    def __init__(self, text: str, other: str | None = None) -> None:
        if other is not None:
            raise ConfigurationError("keytab= and keytab_base64= are two ways to give a keytab; give one of them")
        try:
            content = base64.b64decode("".join(text.split()), validate=True)
        except (ValueError, AttributeError):
            content = b""
        if content[:2] not in (b"\x05\x02", b"\x05\x01"):
            raise ConfigurationError("keytab_base64 is no keytab in base64; make it with `base64 -w0 FILE`")
        folder = tempfile.mkdtemp(prefix="knit-keytab-")  # 0700
        self._gone = weakref.finalize(self, _remove_folder, folder, os.getpid())
        self.path = os.path.join(folder, "keytab")
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)

    def remove(self) -> None:
        """Remove the file. Nothing new can be done with it; what has a ticket keeps it."""
        self._gone()


def _remove_folder(folder: str, owner: int) -> None:
    # A forked child has this object too, and the parent still needs the file.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def import_gssapi() -> Any:
    """The module ``gssapi``.

    Raises:
        ConfigurationError: it is not installed, or the system's Kerberos library is missing.
    """
    try:
        import gssapi
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            f"the cluster wants Kerberos, and Python's gssapi cannot be loaded ({error}): pip install "
            f"'knit-provider[kerberos]', which needs the system's packages {PACKAGES}"
        ) from error
    return gssapi


def cache_path(name: str) -> str:
    """The file of a credential cache named as in ``KRB5CCNAME``.

    Raises:
        ConfigurationError: it is no file.
    """
    kind, colon, rest = name.partition(":")
    if not colon or "/" in kind:
        return name
    if kind.upper() == "FILE":
        return rest
    raise ConfigurationError(f"the credential cache {name} is no file, and Java reads only files: kinit -c FILE:/path")


_RULE = re.compile(r"\s*(?:(DEFAULT)|RULE:\[(\d+):([^\]]*)\](?:\(([^)]*)\))?(?:s/([^/]*)/([^/]*)/(g)?)?)/?(L)?")


def short_name(principal: str, rules: str | None = None) -> str:
    """The user that a principal is to Hadoop.

    Args:
        principal: such as ``etl@EXAMPLE.COM``.
        rules: ``hadoop.security.auth_to_local``; default Hadoop's own: what stands before the first ``/`` or ``@``.

    Examples:
        >>> short_name("etl/host@A"), short_name("etl@A", "RULE:[1:$1@$0](.*@A)s/@.*/_a/ DEFAULT")
        ('etl', 'etl_a')
    """
    whole, _, realm = principal.rpartition("@") if "@" in principal else (principal, "", "")
    parts = whole.split("/")
    for match in _RULE.finditer(rules or "DEFAULT"):
        default, count, form, wanted, old, new, everywhere, lower = match.groups()
        if default:
            return parts[0]
        if int(count) != len(parts):
            continue
        values = [realm, *parts]
        text = form
        for number, value in enumerate(values):
            text = text.replace(f"${number}", value)
        if wanted is not None and re.fullmatch(wanted, text) is None:
            continue
        if old is not None:
            text = re.sub(old, re.sub(r"\$(\d)", r"\\\1", new), text, count=0 if everywhere else 1)
        return text.lower() if lower else text
    return parts[0]


def java_config(environ: Any) -> str | None:
    """The file that ``KRB5_CONFIG`` names, for Java, which does not read that variable and takes one file only."""
    for name in str(environ.get("KRB5_CONFIG") or "").split(":"):
        if name and Path(name).is_file():
            return name
    return None
