"""What ``knit doctor`` looks at on a cluster with Kerberos: from the ticket to the tokens of an application."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from knit_provider.cli.doctor.finding import Look
from knit_provider.yarn.errors import AuthenticationFailed, ConfigurationError, KnitError
from knit_provider.yarn.kerberos import short_name
from knit_provider.yarn.knit import Knit

_MOST_SKEW = 300


def kerberos_looks(knit: Knit) -> Iterator[Look]:
    """Each thing to look at, and how; nothing on a cluster without Kerberos."""
    connection = knit.connection
    try:
        if not connection.secure:
            return
    except KnitError:
        # Nobody answers who could tell, which others say.
        return
    by_password = bool(connection.conf.password)
    if not by_password:
        yield "krb5.conf", krb5_conf
    if connection.login.keytab is not None:
        yield "keytab", lambda: keytab(knit)
    if by_password:
        # Nothing else of Kerberos has to be here: whoever takes the password sees to it.
        yield "tokens", lambda: tokens(knit)
        return
    yield "ticket", lambda: ticket(knit)
    yield "realm", lambda: realm(knit)
    yield "clock", lambda: clock(knit)
    if connection.proxy_user is not None:
        yield "proxy user", lambda: proxy_user(knit)
    yield "tokens", lambda: tokens(knit)


def krb5_conf() -> str:
    """The files that the Kerberos library reads, and the realm they name as its own."""
    names = [name for name in (os.environ.get("KRB5_CONFIG") or "/etc/krb5.conf").split(":") if name]
    there = [name for name in names if Path(name).is_file()]
    if not there:
        raise ConfigurationError(
            f"{' and '.join(names)} is not there: set KRB5_CONFIG, or install the site's krb5.conf"
        )
    text = "\n".join(Path(name).read_text(errors="replace") for name in there)
    found = re.search(r"^\s*default_realm\s*=\s*(\S+)", text, re.MULTILINE)
    return f"{', '.join(there)}; realm {found[1] if found else 'not named (default_realm)'}"


def keytab(knit: Knit) -> str:
    """That nobody else can take the keytab."""
    login = knit.connection.login
    mode = stat.S_IMODE(os.stat(str(login.keytab)).st_mode)
    if mode & 0o007:
        raise ConfigurationError(
            f"{login.keytab} has mode {mode:03o}: everybody on this machine can be {login.principal}. "
            f"chmod 600 {login.keytab}"
        )
    return f"{login.keytab}, for {login.principal}"


def ticket(knit: Knit) -> str:
    """Whose ticket there is, from where, and for how long."""
    connection, login = knit.connection, knit.connection.login
    if connection.by_tokens:
        connection.check_login()
        return f"none, but borrowed tokens: {connection.borrowed_tokens()}"
    credentials: Any = login.credentials()
    left = int(credentials.lifetime or 0)
    source = login.keytab or login.ccache or os.environ.get("KRB5CCNAME") or "the default credential cache"
    again = "got anew from the keytab" if login.keytab else "then run kinit again"
    return f"{credentials.name}, from {source}, for {left // 3600} h {left % 3600 // 60} min, {again}"


def realm(knit: Knit) -> str:
    """Who the principal is to the cluster, and that its daemons' realm can be reached."""
    conf = knit.connection.full_conf
    mine = knit.connection.login.who() or ""
    theirs = str(conf.get("yarn.resourcemanager.principal") or "")
    if not theirs:
        raise ConfigurationError(
            "yarn.resourcemanager.principal is not set: it names who renews an application's tokens"
        )
    ours, others = mine.rpartition("@")[2], theirs.rpartition("@")[2]
    who = short_name(mine, conf.get("hadoop.security.auth_to_local")) if mine else "nobody"
    trust = "" if ours == others else f"; the daemons' is {others}, which has to trust {ours or 'it'}"
    return f"{ours or 'unknown'}{trust}. {mine or 'Without a ticket one'} is {who} on this cluster"


def clock(knit: Knit) -> str:
    """How far the ResourceManager's clock is from ours; Kerberos allows five minutes."""
    session = knit.connection.session
    before = time.time()
    answer = session.ask(session.active_address or session.addresses[0], "cluster/info")
    date = answer.headers.get("Date")
    if not date:
        return "the ResourceManager does not say what time it is"
    there = parsedate_to_datetime(date).timestamp()
    # Its second has no fraction, and the answer took a moment.
    apart = max(0.0, before - there - 1, there - time.time())
    if apart > _MOST_SKEW:
        raise AuthenticationFailed(
            f"{apart:.0f} s from the ResourceManager's, and Kerberos allows {_MOST_SKEW} s: set the wrong one (NTP)"
        )
    return f"{apart:.0f} s from the ResourceManager's"


def proxy_user(knit: Knit) -> str:
    """That the cluster lets the login act for the proxy user."""
    connection = knit.connection
    connection.files.status("/")
    return f"{connection.caller} acts for {connection.proxy_user}"


def tokens(knit: Knit) -> str:
    """How long an application's tokens last, and what comes after."""
    connection = knit.connection
    collected = connection.bridge.collect([connection.paths.base])
    if collected is None:
        raise KnitError("no filesystem gives a delegation token")
    life = collected.life
    kinds = f"for {', '.join(sorted(collected.texts))}"
    if life is None:
        return f"{kinds}; they do not say for how long"
    ends = f"{life / 86400:.3g} days" if life >= 86400 else f"{life:.0f} s"
    if connection.login.keytab is not None and connection.proxy_user is None:
        return f"{kinds}, for {ends}; applications that live longer get new ones with the keytab"
    return f"{kinds}, for {ends}; applications that may live longer need principal= and keytab="
