"""What goes to a gateway, what never leaves it, and whose words an error is made of."""

from __future__ import annotations

import pytest

from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable
from knit_provider.yarn.files.local import LocalContent
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.rest.knox import Topology
from knit_provider.yarn.rest.nodemanager import NodeManager
from knit_provider.yarn.rest.password import PasswordAuth
from tests.unit.rest.conftest import ok, remote_exception, send

PATH = "/gateway/default/resourcemanager"
BASIC = "Basic YWxpY2U6Y2FuYXJ5"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (PATH, "/gateway/default"),
        (f"{PATH}/v1", "/gateway/default"),
        (f"{PATH}/ws/v1", "/gateway/default"),
        ("/gateway/default/yarn/ws/v1", "/gateway/default"),
        ("/resourcemanager", ""),
        ("/gateway/default", None),
        ("/proxy/rm", None),
        ("/ws/v1", None),
    ],
)
def test_where_a_topology_begins(path: str, found: str | None) -> None:
    topology = Topology.of("https://knox:8443/", path)
    assert topology == (None if found is None else Topology(f"https://knox:8443{found}"))


def test_a_gateway_gets_the_password_and_no_name(daemon, session_of):
    session_of(daemon.address, gateway_path=f"{PATH}/v1", password="canary").get_json("cluster/metrics")
    _, path, headers, _ = daemon.requests[0]
    assert (path, headers["Authorization"]) == (f"{PATH}/v1/cluster/metrics", BASIC)


def test_nobody_behind_the_gateway_is_asked(daemons, session_of):
    gateway, inside = daemons
    session = session_of(gateway.address, gateway_path=PATH, password="canary")
    with pytest.raises(ClusterUnavailable, match="behind the gateway"):
        session.get_url(f"{inside.url}/ws/v1/node")
    with pytest.raises(ClusterUnavailable, match="behind the gateway"), session.stream_url(f"{inside.url}/ws/v1/node"):
        pass
    gateway.answer = lambda h: send(h, 200, {"containers": {"container": [{"id": "container_1_0001_01_000001"}]}})
    assert NodeManager(session, f"http://{inside.address}").containers()
    host, port = inside.address.split(":")
    assert gateway.requests[0][1] == (
        f"/gateway/default/yarnuiv2/nodemanager/containers?scheme=http&host={host}&port={port}"
    )
    assert inside.requests == []


@pytest.mark.parametrize("way", ["GET", "PUT"])
def test_a_redirect_past_the_gateway_is_an_error(daemons, way):
    gateway, inside = daemons
    gateway.answer = lambda h: send(h, 307, b"", Location=f"{inside.url}/webhdfs/v1/a")
    topology = Topology(f"{gateway.url}/gateway/default")
    auth = PasswordAuth("alice", "canary", [gateway.url], topology)
    namenodes = NameNodes([topology.url], "alice", auth, topology=topology)
    go = {
        "GET": lambda: namenodes.download("/a", 10),
        "PUT": lambda: namenodes.upload("/a", LocalContent.of_bytes(b"x")),
    }
    with pytest.raises(ClusterUnavailable, match="past the gateway"):
        go[way]()
    assert inside.requests == []
    assert "noredirect" not in gateway.requests[0][1]
    namenodes.close()


def test_a_password_that_is_refused_is_sent_once(daemon, session_of):
    daemon.answer = lambda h: send(h, 401, b"", WWW_Authenticate="BASIC", Set_Cookie="hadoop-jwt=x; Path=/")
    session = session_of(daemon.address, gateway_path=f"{PATH}/v1", password="canary")
    with pytest.raises(AuthenticationFailed, match="does not accept the password of alice"):
        session.get_json("cluster/metrics")
    assert len(daemon.requests) == 1
    # A second time there is a cookie, which may be what was refused.
    with pytest.raises(AuthenticationFailed):
        session.get_json("cluster/metrics")
    assert len(daemon.requests) == 3
    assert "Cookie" not in daemon.requests[2][2]


def test_a_login_page_elsewhere_gets_no_password(daemons, session_of):
    gateway, elsewhere = daemons
    gateway.answer = lambda h: send(
        h, 302, b"", Location=f"{elsewhere.url}/gateway/knoxsso/api/v1/websso?originalUrl=x"
    )
    with pytest.raises(AuthenticationFailed, match="login page"):
        session_of(gateway.address, gateway_path=PATH, password="canary").get_json("cluster/metrics")
    assert elsewhere.requests == []


def test_what_the_cluster_says_is_not_the_gateways(daemon, session_of):
    daemon.answer = lambda h: remote_exception(h, 403, "ForbiddenException", "not in the queue's list")
    with pytest.raises(Exception, match="not in the queue's list") as caught:
        session_of(daemon.address, gateway_path=PATH, password="canary").get_json("cluster/metrics")
    assert "gateway http" not in str(caught.value)


def test_the_page_of_an_application(daemon, session_of):
    daemon.answer = ok
    assert session_of(daemon.address).page_of("application_1_0001") == f"{daemon.url}/cluster/app/application_1_0001"
    behind = session_of(daemon.address, gateway_path=PATH).page_of("application_1_0001")
    assert behind == f"{daemon.url}/gateway/default/yarn/cluster/app/application_1_0001"
