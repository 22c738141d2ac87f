"""What submission needs of a cluster, by both bridges, on a real cluster, as somebody else than the daemons' user."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.bridge.base import (
    Acls,
    AmLaunch,
    Bridge,
    LocalResource,
    LogAggregation,
    Submission,
)
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.connection import Connection
from knit_provider.yarn.errors import ConfigurationError, KnitError, PermissionDenied, SubmissionRejected
from knit_provider.yarn.files.port import RemoteFileNotFound
from tests.hadoop.eventually import eventually

ENDS = ("FINISHED", "FAILED", "KILLED")


def connect(cluster: LocalCluster, user: str, kind: str) -> Connection:
    conf = HadoopConf.load(hadoop_conf_dir=str(cluster.conf_dir), user=user)
    return Connection(conf, bridge=kind, hadoop_home=str(cluster.hadoop_home))


@pytest.fixture(scope="module", params=["rest", "jvm"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def alice(cluster: LocalCluster, kind: str) -> Iterator[Connection]:
    connection = connect(cluster, "alice", kind)
    assert connection.bridge.name == kind
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def bob(cluster: LocalCluster, kind: str) -> Iterator[Connection]:
    connection = connect(cluster, "bob", kind)
    yield connection
    connection.close()


@pytest.fixture
def bridge(alice: Connection) -> Bridge:
    return alice.bridge


@pytest.fixture
def folder(bridge: Bridge) -> Iterator[str]:
    """A folder in HDFS, removed at the end."""
    path = f"{bridge.files.uri_home()}/test-{secrets.token_hex(6)}"
    bridge.files.mkdirs(path)
    yield path
    bridge.files.delete(path, recursive=True)


@pytest.fixture
def submit(alice: Connection) -> Iterator[Callable[..., str]]:
    """Submit a bare command in the ApplicationMaster's place; what still runs at the end is killed."""
    submitted: list[str] = []

    def run(command: str, *, am: dict[str, Any] | None = None, **fields: Any) -> str:
        app_id = alice.bridge.new_application().application_id
        launch = AmLaunch(**{"memory": 64, "vcores": 1, "command": command, **(am or {})})
        submission = Submission(app_id, **{"name": "bare", "queue": "default", "am": launch, **fields})
        result = alice.bridge.submit(submission)
        submitted.append(app_id)
        assert result.application_id == app_id
        assert result.state in ("ACCEPTED", "RUNNING", *ENDS)
        return app_id

    yield run
    for app_id in submitted:
        if alice.api.state(app_id) not in ENDS:
            alice.api.kill(app_id)


def wait_for_end(connection: Connection, app_id: str) -> dict[str, Any]:
    eventually(lambda: connection.api.state(app_id) in ENDS)
    return connection.api.status(app_id)


def wait_for_logs(bridge: Bridge, app_id: str) -> None:
    def there() -> bool:
        try:
            return bool(bridge.aggregated_containers(app_id, "alice"))
        except RemoteFileNotFound:
            return False

    eventually(there)


# -- applications ------------------------------------------------------------------------------------------------------


def test_a_new_id_comes_with_what_the_cluster_grants_at_most(bridge: Bridge) -> None:
    one, two = bridge.new_application(), bridge.new_application()
    assert one.application_id != two.application_id
    assert one.max_memory >= 1024
    assert one.max_vcores >= 1


def test_everything_of_a_submission_arrives(
    alice: Connection, bridge: Bridge, submit: Callable[..., str], marker: str
) -> None:
    app_id = submit(
        "sleep 300",
        name=f"ünï {marker}",
        tags=["one", "Two"],
        priority=3,
        type="knit",
        lifetime_seconds=4000,
        attempt_failures_validity_ms=60_000,
        acls=Acls(view="bob", modify=" "),
        log_aggregation=LogAggregation(include="std.*"),
        node_label="",
        max_attempts=2,
    )
    app = alice.api.status(app_id)
    assert app["name"] == f"ünï {marker}"
    assert app["user"] == "alice"
    assert app["queue"].endswith("default")
    assert app["applicationType"] == "knit"
    assert sorted(app["applicationTags"].split(",")) == ["one", "two"]
    if bridge.sets_lifetime:
        assert 3900 < alice.api.app_timeouts(app_id)["LIFETIME"]["remainingTimeInSeconds"] <= 4000
    assert alice.api.kill(app_id, diagnostics="because")
    assert "because" in alice.api.status(app_id)["diagnostics"]


def test_files_environment_and_secrets_reach_the_container_and_secrets_nothing_else(
    alice: Connection, bridge: Bridge, submit: Callable[..., str], folder: str, tmp_path: Path
) -> None:
    canary = secrets.token_hex(16)
    (tmp_path / "data").write_text("the data")
    put = bridge.files.put(tmp_path / "data", f"{folder}/data")
    app_id = submit(
        f"{{ cat link; echo $KNIT_TEST; grep -c -a {canary[:-1]} $HADOOP_TOKEN_FILE_LOCATION; "
        "cat launch_container.sh; } "
        "1><LOG_DIR>/stdout 2><LOG_DIR>/stderr",
        am={
            "environment": {"KNIT_TEST": "value"},
            "local_resources": {"link": LocalResource(put.path, put.length, put.modified_ms)},
        },
        secrets={"knit.control.secret": canary.encode()},
    )
    wait_for_end(alice, app_id)
    wait_for_logs(bridge, app_id)
    (container,) = bridge.aggregated_containers(app_id, "alice")
    bridge.read_aggregated(app_id, "alice", container, "stdout", tmp_path / "out")
    said = (tmp_path / "out").read_text()
    assert said.startswith("the datavalue\n1\n")
    assert canary not in said


def test_an_end_before_the_first_look_is_told_as_it_is(alice: Connection, submit: Callable[..., str]) -> None:
    app = wait_for_end(alice, submit("exit 7"))
    assert app["state"] == "FAILED"
    assert "7" in app["diagnostics"]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"queue": "stopped"}, SubmissionRejected, "(?i)stopped"),
        ({"queue": "nowhere"}, SubmissionRejected, "nowhere"),
        (
            {"am": {"memory": 10_000_000}},
            SubmissionRejected,
            "(?i)invalid resource request|more memory than configured max",
        ),
        (
            {"am": {"named": {"yarn.io/gpu": 1}}},
            ConfigurationError,
            r"no resource named yarn\.io/gpu; it has memory-mb|own container cannot have yarn\.io/gpu: 1",
        ),
        (
            {"tags": [f"tag{n}" for n in range(11)]},
            SubmissionRejected,
            "Too many applicationTags, a maximum of only 10",
        ),
        ({"tags": ["x" * 101]}, SubmissionRejected, "maximum allowed length of a tag is 100$"),
        ({"tags": ["ü"]}, SubmissionRejected, "ASCII"),
        ({"lifetime_seconds": -5}, KnitError, "(?i)timeout|lifetime=-5"),
        ({"reservation_id": "soon"}, ConfigurationError, "reservation_id is soon"),
        ({"am": {"memory": 0}}, ConfigurationError, "memory(=| is )0"),
    ],
)
def test_what_the_cluster_refuses(
    submit: Callable[..., str], fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        submit("sleep 300", **fields)


def test_submitted_twice_it_runs_once(alice: Connection, bridge: Bridge) -> None:
    app_id = bridge.new_application().application_id
    launch = AmLaunch(64, 1, "sleep 300")
    submission = Submission(app_id, "twice", "default", launch)
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: bridge.submit(submission), range(4)))
        assert {result.application_id for result in results} == {app_id}
    finally:
        assert alice.api.kill(app_id)
    assert len(alice.api.app_attempts(app_id)) == 1


def test_ten_megabytes_of_aggregated_logs_are_the_same_to_the_byte(
    alice: Connection, bridge: Bridge, bob: Connection, submit: Callable[..., str], tmp_path: Path
) -> None:
    app_id = submit("seq 1 1500000 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr; echo LogLength:3 1><LOG_DIR>/other.log")
    wait_for_end(alice, app_id)
    wait_for_logs(bridge, app_id)
    (container,) = bridge.aggregated_containers(app_id, "alice")
    assert re.fullmatch(r"localhost:\d+", container.node)
    expected = "".join(f"{n}\n" for n in range(1, 1_500_001)).encode()
    lengths = {file.name: file.length for file in container.files}
    assert lengths["stdout"] == len(expected) > 10_000_000
    assert bridge.read_aggregated(app_id, "alice", container, "stdout", tmp_path / "out") == len(expected)
    assert (tmp_path / "out").read_bytes() == expected
    bridge.read_aggregated(app_id, "alice", container, "other.log", tmp_path / "other")
    assert (tmp_path / "other").read_text() == "LogLength:3\n"
    with pytest.raises(RemoteFileNotFound, match=rf"no (aggregated )?log nothing of (container )?{container.id}"):
        bridge.read_aggregated(app_id, "alice", container, "nothing", tmp_path / "none")
    if bridge.name == "rest":
        return  # without Kerberos, the history server gives everybody's logs to everybody, unless ACLs are on
    with pytest.raises(PermissionDenied, match="bob"):
        bob.bridge.aggregated_containers(app_id, "alice")


def test_logs_that_are_not_there_say_where_they_were_looked_for(bridge: Bridge) -> None:
    with pytest.raises(RemoteFileNotFound, match=r"no aggregated logs of application_1_0001 \(?(of )?user alice"):
        bridge.aggregated_containers("application_1_0001", "alice")
