"""Acting for somebody else, by both bridges: whose the application, its files and its logs are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from knit_provider import ApplicationSpec, Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.kdc import GATEWAY
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.errors import PermissionDenied
from tests.hadoop.eventually import eventually


@pytest.fixture(params=["rest", "jvm"])
def bridge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_whole_life_of_an_application(make_knit: Callable[..., Knit]) -> None:
    """Its ApplicationMaster reads and writes in HDFS with a token, which is alice's or of no use."""
    knit = make_knit(proxy_user="alice")
    assert knit.user == "alice"
    app_id = knit.start("sleep 300")
    assert knit.status()["user"] == "alice"
    files = knit.connection.files
    staging = files.status(knit.connection.paths.staging(app_id))
    assert staging is not None
    assert staging.owner == "alice"
    assert "/user/alice/" in staging.path
    eventually(lambda: len([c for c in knit.get_containers() if c["service"]]) == 1)
    ledger = files.status(knit.connection.paths.ledger(app_id))
    assert ledger is not None
    assert ledger.owner == "alice"
    knit.add_containers(1)
    eventually(lambda: len([c for c in knit.get_containers() if c["service"]]) == 2)
    assert knit.kill()
    assert knit.runtime_status() == "KILLED"


def test_logs_while_it_runs_and_afterwards(make_knit: Callable[..., Knit], kerberos_cluster: LocalCluster) -> None:
    """A node looks at the login alone, which is neither the owner nor an administrator here."""
    realm = kerberos_cluster.realm
    login = {"principal": realm.principal(f"{GATEWAY}/localhost"), "keytab": str(realm.keytab(GATEWAY))}
    knit = make_knit(user=None, **login, proxy_user=daemon_user())
    assert knit.connection.caller == GATEWAY
    knit.start("echo said at once; sleep 600", memory=64)

    def said() -> list[object]:
        return [files.get("stdout") for files in knit.logs().values() if files["service"]]

    eventually(lambda: knit.runtime_status() == "RUNNING")
    eventually(lambda: said() == ["said at once\n"])
    assert knit.kill()
    assert said() == ["said at once\n"]


def test_a_spec_that_names_a_user(make_knit: Callable[..., Knit]) -> None:
    knit = make_knit()
    spec = ApplicationSpec.from_dict(
        {"name": "for-bob", "user": "bob", "services": {"w": {"script": "sleep 300", "resources": {"memory": 64}}}}
    )
    app_id = knit.submit(spec)
    assert knit.yarn_api.status(app_id)["user"] == "bob"
    assert knit.kill(app_id)


def test_a_cluster_that_does_not_allow_it(make_knit: Callable[..., Knit]) -> None:
    before = set(make_knit().yarn_api.apps)
    knit = make_knit(user="alice", proxy_user="bob")
    with pytest.raises(PermissionDenied, match=r"alice.*hadoop\.proxyuser\.alice\.hosts.*users"):
        knit.start("true")
    with pytest.raises(PermissionDenied, match=r"hadoop\.proxyuser\.alice\.hosts"):
        knit.connection.bridge.files.status("/tmp")
    assert set(make_knit().yarn_api.apps) == before
