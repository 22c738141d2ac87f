"""What ``knit doctor`` finds out about TLS and about a gateway such as Knox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, KnitError
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.rest.history import HistoryLogs
from knit_provider.yarn.rest.knox import is_login_page
from knit_provider.yarn.rest.transport import Transport
from knit_provider.yarn.tls import trust_of
from knit_provider.yarn.tls.trouble import Certificate, checked_certificate

_SOON = timedelta(days=30)
_TIMEOUT = 10.0
# Service of a topology, a path that only it serves, and what is missing without it.
_SERVICES = (
    ("WEBHDFS", "webhdfs/v1/?op=GETHOMEDIRECTORY", "files have to go past it"),
    ("YARNUI", "yarn/conf", "Hadoop properties have to be given"),
    ("YARNUIV2", "yarnuiv2/ws/v1/cluster/info?_=1", "logs come at the end only"),
)


def gateway_found(knit: Knit) -> str:
    """Whether a gateway answers, how it authenticates, and which services it has.

    Raises:
        KnitError: it does not answer, does not let the user in, or does not reach the ResourceManager.
    """
    session = knit.connection.session
    topology = session.topology
    if topology is None:
        raise ClusterUnavailable("there is none")
    transport = Transport(None, trust_of(knit.connection.conf, secure=True))
    try:
        stranger = transport.exchange("GET", f"{topology.url}/resourcemanager/v1/cluster/info", timeout=_TIMEOUT)
    finally:
        transport.close()
    if is_login_page(stranger):
        how = "sends strangers to a login page (KnoxSSO)"
    elif stranger.status == 401:
        kinds = stranger.headers.get("WWW-Authenticate", "").split(" ")[0] or "something that it does not name"
        how = f"asks strangers for {kinds.capitalize()} authentication"
    else:
        how = f"lets strangers in (it answered {stranger.status}); is that meant?"
    session.get_json("cluster/info")
    lacking = []
    for role, path, without in _SERVICES:
        try:
            session.get_url(f"{topology.url}/{path}", timeout=_TIMEOUT)
        except AuthenticationFailed:
            raise
        except KnitError:
            lacking.append(f"{role} ({without})")
    missing = f"; lacks {', '.join(lacking)}" if lacking else ""
    return f"{topology.url} {how}; lets {session.caller} in{missing}"


def certificates_found(knit: Knit) -> str:
    """Each server of the cluster that speaks TLS, who issued its certificate, and until when it holds.

    Raises:
        ClusterUnavailable: naming every server that does not prove who it is, and what to do.
    """
    trust = trust_of(knit.connection.conf, secure=True)
    good, bad = [], []
    for url in dict.fromkeys(_places(knit)):
        try:
            good.append(_described(url, checked_certificate(url, trust)))
        except ClusterUnavailable as e:
            bad.append(str(e))
    if bad:
        raise ClusterUnavailable("; ".join(bad))
    return f"{'; '.join(good)}; trusted: {trust.source}"


def _described(url: str, shown: Certificate) -> str:
    soon = " (soon)" if shown.ends - datetime.now(UTC) < _SOON else ""
    return f"{urlsplit(url).netloc} by {shown.issuer} until {shown.ends:%Y-%m-%d}{soon}"


def _places(knit: Knit) -> Iterator[str]:
    """Origins of the servers that are asked with TLS, as far as they are known."""
    connection = knit.connection
    yield from (address for address in connection.session.addresses if address.startswith("https:"))
    if connection.session.topology is not None:
        return
    try:
        conf = connection.full_conf
        others = [*conf.namenode_web_addresses(), *HistoryLogs(connection.session, conf).servers()]
    except KnitError:
        return
    for url in others:
        parts = urlsplit(url)
        if parts.scheme == "https":
            yield f"https://{parts.netloc}"
