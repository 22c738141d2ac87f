"""Other people's applications, where YARN's ACLs are on: what a stranger can do, and those whom the owner names."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from knit_provider import Knit
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.errors import KnitError, PermissionDenied
from knit_provider.yarn.rest.nodemanager import NodeManager
from tests.hadoop.eventually import eventually

SERVICES = {"w": {"script": "echo said; sleep 300", "resources": {"memory": 64, "vcores": 1}}}


@pytest.fixture
def bob(make_knit: Callable[..., Knit]) -> Knit:
    return make_knit("bob")


def started(knit: Knit, **spec: object) -> str:
    app_id = knit.submit({"services": SERVICES, **spec})
    eventually(lambda: any("said" in str(entry.get("stdout")) for entry in knit.logs(app_id=app_id).values()))
    return app_id


def test_a_stranger_sees_that_it_is_there_and_no_more(knit: Knit, bob: Knit) -> None:
    app_id = started(knit)
    theirs = bob.attach(app_id)
    status = theirs.status()
    assert (status["state"], status["user"]) == ("RUNNING", daemon_user())
    assert not status["startedTime"]
    assert not status.get("amContainerLogs")
    may_not_view = rf"bob lacks the right to view {app_id} \(VIEW_APP\)\. Its owner, {daemon_user()}, gives it"
    with pytest.raises(PermissionDenied, match=may_not_view):
        theirs.logs()
    with pytest.raises(PermissionDenied, match=may_not_view):
        list(theirs.iter_logs())
    (worker,) = (c for c in knit.get_containers() if c["service"])
    node = NodeManager(bob.connection.session, knit.yarn_api.nodes()[0]["nodeHTTPAddress"])
    with pytest.raises(PermissionDenied, match=rf"bob lacks the right to view {app_id}"):
        node.read_log(worker["id"], "stdout", io.BytesIO())
    with pytest.raises(PermissionDenied, match=rf"bob lacks the right to modify {app_id} \(MODIFY_APP\)"):
        theirs.kill()
    for change in (lambda: theirs.scale("w", 2), lambda: theirs.add_containers(1), lambda: theirs.shutdown()):
        with pytest.raises(PermissionDenied, match=f"cannot be controlled by bob: it is {daemon_user()}'s"):
            change()
    assert knit.runtime_status(app_id) == "RUNNING"
    assert knit.kill(app_id)
    with pytest.raises(PermissionDenied, match=may_not_view):
        theirs.logs(shell=True, retries=2, delay=1)


def test_those_whom_the_owner_names(knit: Knit, bob: Knit) -> None:
    app_id = started(knit, acls={"view_users": ["bob"]})
    theirs = bob.attach(app_id)
    assert theirs.status()["startedTime"]
    assert any("said" in str(entry.get("stdout")) for entry in theirs.logs().values())
    with pytest.raises(PermissionDenied, match="MODIFY_APP"):
        theirs.kill()
    with pytest.raises(KnitError, match="cannot be controlled by bob"):
        theirs.scale("w", 2)
    assert knit.kill(app_id)

    app_id = started(knit, acls={"modify_users": ["bob"]})
    assert bob.kill(app_id)
    assert knit.runtime_status(app_id) == "KILLED"
