"""Apache Knox: where its topology has each of the cluster's services, and what its own refusals mean.

A topology is one path of the gateway, such as ``/gateway/default``, and each service a path below that. What a service
answers is rewritten on the way: the ResourceManager's answers lose the addresses of nodes, and WebHDFS's redirects lead
back to the gateway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from knit_provider.yarn.errors import (
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.rest.answers import Answer

_RM_PATH = re.compile(r"(?P<topology>(?:/[^/]+)*)/(?:resourcemanager|yarn|yarnuiv2)(?:(?:/ws)?/v1)?/?")
_LOGIN_PAGE = re.compile(r"/(?:knoxsso|websso|knoxauth)(?:/|\?|$)|[?&]originalUrl=")
_ROLES = {
    "resourcemanager": "RESOURCEMANAGER",
    "yarn": "YARNUI",
    "yarnuiv2": "YARNUIV2",
    "webhdfs": "WEBHDFS",
}
CONF_PATHS: tuple[tuple[str, dict[str, str]], ...] = (("yarn/conf", {}), ("yarnuiv2/conf", {"format": "json"}))
"""Where topologies show the ResourceManager's configuration, and the query that leads there."""


@dataclass(frozen=True)
class Topology:
    """One topology of one gateway.

    Attributes:
        url: such as ``https://knox:8443/gateway/default``.
    """

    url: str

    @classmethod
    def of(cls, address: str, gateway_path: str) -> Topology | None:
        """The topology that a ``gateway_path`` lies in; None for a path of another kind of proxy.

        Examples:
            >>> Topology.of("https://knox:8443", "/gateway/default/resourcemanager/v1")
            Topology(url='https://knox:8443/gateway/default')
            >>> Topology.of("http://proxy", "/hadoop/rm")
        """
        match = _RM_PATH.fullmatch(gateway_path)
        return cls(address.rstrip("/") + match["topology"]) if match else None

    @property
    def origin(self) -> str:
        """Scheme, host and port of the gateway: the only place that may get a password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def holds(self, url: str) -> bool:
        """Whether a URL leads to this gateway."""
        return urlsplit(url)[:2] == urlsplit(self.url)[:2]

    def node(self, address: str, scheme: str) -> tuple[str, dict[str, str]]:
        """A NodeManager's REST interface through the gateway.

        Args:
            address: ``host:port`` of the node's web interface.
            scheme: that it speaks.

        Returns:
            The URL, and what has to be in every query.
        """
        host, _, port = address.rpartition(":")
        return f"{self.url}/yarnuiv2/nodemanager", {"scheme": scheme, "host": host, "port": port}

    def page(self, app_id: str) -> str:
        """The ResourceManager's page about an application, for a browser."""
        return f"{self.url}/yarn/cluster/app/{app_id}"

    def refusal(self, answer: Answer, user: str, has_password: bool = True) -> KnitError | None:
        """The error of an answer that is the gateway's own, and none of the service behind it; None for others.

        Args:
            answer: what came.
            user: who asked.
            has_password: whether it was asked with a password.
        """
        if answer.remote_exception() is not None or _is_a_nodes(answer):
            return None
        gateway, service = f"the gateway {self.url}", self._service(answer.url)
        if answer.status == 401:
            if not has_password:
                return AuthenticationFailed(f"{gateway} wants a login: give user= and password=")
            return AuthenticationFailed(
                f"{gateway} does not accept the password of {user} (401); are user= and password= right, and is that "
                "account neither locked nor expired?"
            )
        if is_login_page(answer):
            return AuthenticationFailed(
                f"{gateway} sends {user} to a login page ({answer.headers.get('Location', '')[:120]}), which is for "
                "browsers; use a topology whose provider takes a user and password (HTTP Basic)"
            )
        if answer.status == 403:
            return PermissionDenied(
                f"{gateway} knows {user} and does not let them use {service} (403): its own authorization (AclsAuthz "
                "or Ranger) decides that; ask the gateway's administrator"
            )
        if answer.status == 404:
            return ClusterUnavailable(
                f"{gateway} has nothing at {urlsplit(answer.url).path} (404): is gateway_path right (such as "
                f"/gateway/default/resourcemanager), and does that topology have {service}?"
            )
        if answer.status >= 500:
            return ClusterUnavailable(
                f"{gateway} answers, but cannot reach {service} behind it ({answer.status}: {answer.shown()})"
            )
        return None

    def no_conf(self) -> ConfigurationError:
        """What to say where no service of the topology shows the cluster's configuration."""
        return ConfigurationError(
            f"the gateway {self.url} does not show the cluster's configuration (no service YARNUI or YARNUIV2 there): "
            "have one added, or give hadoop_conf_dir=, or fs.defaultFS, yarn.resourcemanager.address and "
            "yarn.application.classpath as Hadoop properties"
        )

    def inside(self, url: str) -> ClusterUnavailable:
        """What to say of an address that only the gateway can reach."""
        return ClusterUnavailable(
            f"{url.partition('?')[0]} lies behind the gateway {self.url}, and is not asked directly"
        )

    def _service(self, url: str) -> str:
        below = urlsplit(url).path.removeprefix(urlsplit(self.url).path).strip("/").partition("/")[0]
        return f"the service {_ROLES[below]}" if below in _ROLES else "such a service"


def _is_a_nodes(answer: Answer) -> bool:
    """Whether it is what a NodeManager says of a log that it does not give: bare text, where a gateway shows a page."""
    return answer.status == 500 and answer.headers.get("Content-Type", "").startswith("text/plain")


def is_login_page(answer: Answer) -> bool:
    """Whether an answer is a redirect to where people log in (KnoxSSO)."""
    return 300 <= answer.status < 400 and bool(_LOGIN_PAGE.search(answer.headers.get("Location", "")))
