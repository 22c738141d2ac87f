"""Acting for somebody else, by both bridges: whose the application, its files and its logs are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from knit_provider import ApplicationSpec, Knit
from knit_provider.yarn.errors import PermissionDenied
from tests.hadoop.eventually import eventually

SCRIPT = """
"$HADOOP_HOME/bin/hadoop" fs -touchz /user/alice/made-for-alice
echo said
while [ ! -e {stop} ]; do sleep 0.2; done
"""


@pytest.fixture(params=["rest", "jvm"])
def bridge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_whole_life_of_an_application(make_knit: Callable[..., Knit], tmp_path: object) -> None:
    stop = f"{tmp_path}/stop"
    knit = make_knit(proxy_user="alice")
    assert knit.user == "alice"
    app_id = knit.start(SCRIPT.format(stop=stop), memory=512)
    assert knit.status()["user"] == "alice"
    files = knit.connection.files
    staging = files.status(knit.connection.paths.staging(app_id))
    assert staging is not None
    assert staging.owner == "alice"
    assert "/user/alice/" in staging.path
    eventually(lambda: files.status("/user/alice/made-for-alice"))
    made = files.status("/user/alice/made-for-alice")
    assert made is not None
    assert made.owner == "alice"
    files.delete(made.path)
    knit.add_containers(1, memory=512)
    eventually(lambda: len([c for c in knit.get_containers() if c["service"]]) == 2)
    assert knit.kill()
    assert knit.runtime_status() == "KILLED"


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
        knit.connection.bridge.files.uri_home()
    assert set(make_knit().yarn_api.apps) == before
