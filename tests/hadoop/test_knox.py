"""Everything through a gateway that does what Apache Knox does, in front of a real cluster, without a Hadoop file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import (
    AuthenticationFailed,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
    PermissionDenied,
)
from tests.hadoop.behind_gateway import (
    DEFAULT,
    PASSWORD,
    Gateway,
    gateway_before,
    knits_through,
    nothing_else_reachable,
    ports_of,
)
from tests.hadoop.eventually import eventually
from tests.hadoop.test_cli import COMMAND


@pytest.fixture(scope="module")
def gateway(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_before(cluster, tmp_path_factory.mktemp("knox")) as started:
        yield started


@pytest.fixture
def through(gateway: Gateway) -> Iterator[Callable[..., Knit]]:
    with knits_through(gateway) as make:
        yield make


@pytest.fixture
def tried(gateway: Gateway) -> Iterator[set[int]]:
    with nothing_else_reachable(gateway) as ports:
        yield ports


def test_a_whole_job(
    cluster: LocalCluster, gateway: Gateway, through: Callable[..., Knit], tried: set[int], tmp_path: Path
) -> None:
    gateway.told("/test/expire")
    knit = through()
    go = tmp_path / "go"
    go.parent.chmod(0o777)
    app_id = knit.start(f"echo 'é<one>'; until [ -e {go} ]; do sleep 0.1; done; echo two; echo 7 > $KNIT_RESULT")
    eventually(lambda: any("é<one>" in chunk.text for chunk in knit.iter_logs()), every=0.3)
    while_it_ran = gateway.told()["requests"]
    assert any("/yarnuiv2/nodemanager/" in request for request in while_it_ran), "live logs went another way"
    assert all(container["totalMemoryNeededMB"] for container in knit.get_containers()), "no node was asked"
    go.touch()
    assert knit.wait_for_completion(timeout=60)
    assert knit.application(app_id).result() == 7
    logs = knit.logs()
    assert [str(files["stdout"]) for files in logs.values() if files["service"] == "default"] == ["é<one>\ntwo\n"]
    assert any(files["service"] is None for files in logs.values()), "the ApplicationMaster's log is missing"
    assert knit.connection.bridge.name == "rest"
    asked = while_it_ran + gateway.told()["requests"]
    assert any("PUT /gateway/default/webhdfs/data/" in request for request in asked)
    assert any("GET /gateway/default/webhdfs/data/" in request for request in asked)
    assert knit.connection.files.serving("/") == "webhdfs"
    assert not tried & ports_of(cluster), "a daemon was asked directly"


def test_files_of_some_size_and_a_kill(through: Callable[..., Knit], tmp_path: Path) -> None:
    knit = through()
    files = knit.connection.files
    local = tmp_path / "data"
    local.write_bytes(os.urandom(3 * 2**20))
    remote = f"{files.uri_home()}/through-the-gateway/{local.parent.name}"
    try:
        assert files.put(local, remote).length == 3 * 2**20
        assert files.read(remote) == local.read_bytes()
        with pytest.raises(KnitError, match="/bob"):
            files.list("/user/bob")
    finally:
        files.delete(remote.rpartition("/")[0], recursive=True)
    app_id = knit.start("sleep 600", app_name="to be killed")
    assert knit.kill() is True
    assert knit.status(app_id)["state"] == "KILLED"


@pytest.mark.parametrize(
    "path", [DEFAULT, f"{DEFAULT}/v1/", "/gateway/seeds/resourcemanager", "/gateway/seeds/resourcemanager/ws/v1"]
)
def test_both_forms_of_the_path(through: Callable[..., Knit], path: str) -> None:
    api = through(path).yarn_api
    assert api.cluster_info()["state"] == "STARTED"
    assert isinstance(api.apps, list)
    assert api.cluster_conf()["fs.defaultFS"].startswith("hdfs://")


@pytest.mark.parametrize("path", [DEFAULT, "/gateway/sso/resourcemanager"])
def test_a_session_lasts_until_it_expires_and_is_then_begun_anew(
    gateway: Gateway, through: Callable[..., Knit], path: str
) -> None:
    gateway.told("/test/expire")
    knit = through(path)
    for _ in range(2):
        for _ in range(3):
            assert knit.yarn_api.cluster_metrics()["totalNodes"]
        assert gateway.told("/test/expire")["logins"] == 1
    # A body that was read once is sent again.
    files = knit.connection.files
    folder = f"{files.uri_home()}/session"
    try:
        gateway.told("/test/expire")
        files.write_many(folder, {"a": b"content"})
        assert files.read(f"{folder}/a") == b"content"
    finally:
        files.delete(folder, recursive=True)


def test_what_the_gateway_refuses_is_said_to_be_the_gateways(gateway: Gateway, through: Callable[..., Knit]) -> None:
    base = f"https://127.0.0.1:{gateway.port}/gateway"
    for path, kind, said in (
        (
            "/gateway/closed/resourcemanager",
            PermissionDenied,
            f"the gateway {base}/closed knows alice.*RESOURCEMANAGER",
        ),
        ("/gateway/default/resourcemanagers", ClusterUnavailable, "404"),
        ("/nowhere/yarn", ClusterUnavailable, "is gateway_path right"),
        ("/gateway/broken/resourcemanager", ClusterUnavailable, r"cannot reach the service RESOURCEMANAGER.*502"),
    ):
        with pytest.raises(kind, match=said):
            through(path).yarn_api.cluster_metrics()
    with pytest.raises(AuthenticationFailed, match="does not accept the password of alice"):
        through(password="wrong").yarn_api.cluster_metrics()
    with pytest.raises(AuthenticationFailed, match="give user= and password="):
        through(password=None).yarn_api.cluster_metrics()
    with pytest.raises(AuthenticationFailed, match="login page"):
        through("/gateway/sso/resourcemanager", password="wrong").yarn_api.cluster_metrics()
    bare = through("/gateway/bare/resourcemanager")
    assert bare.yarn_api.cluster_metrics()
    with pytest.raises(ConfigurationError, match=r"YARNUI.*hadoop_conf_dir="):
        bare.connection.full_conf  # noqa: B018
    with pytest.raises(ConfigurationError, match="proxy_user='bob'"):
        through(proxy_user="bob")


def test_an_airflow_connection(gateway: Gateway, tried: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("airflow.sdk")
    from knit_provider.hooks.knit import KnitHook
    from knit_provider.operators.knit import KnitStartOperator

    extra = {"gateway_path": DEFAULT, "ca_bundle": gateway.ca.read_text(), "bridge": "rest"}
    connection = {
        "conn_type": "yarn",
        "host": "https://127.0.0.1",
        "port": gateway.port,
        "login": "alice",
        "password": PASSWORD,
        "extra": extra,
    }
    monkeypatch.setenv("AIRFLOW_CONN_KNOX", json.dumps(connection))
    good, said = KnitHook("knox").test_connection()
    assert good, said
    app_id = KnitStartOperator(task_id="greet", command="echo hello", yarn_conn_id="knox").execute({})
    hook = KnitHook("knox")
    assert hook.report(app_id).succeeded
    assert "hello\n" in [chunk.text for chunk in hook.logs(app_id)]
    assert hook.tracking_url(app_id) == f"https://127.0.0.1:{gateway.port}/gateway/default/yarn/cluster/app/{app_id}"
    hook.get_conn().close()


def test_a_prefect_block(gateway: Gateway, tried: set[int]) -> None:
    pytest.importorskip("prefect")
    from knit_provider.prefect import YarnCredentials

    block = YarnCredentials(
        host="127.0.0.1",
        port=gateway.port,
        scheme="https",
        gateway_path=DEFAULT,
        login="alice",
        password=PASSWORD,
        ca_bundle=gateway.ca.read_text(),
        bridge="rest",
    )
    with block.get_client() as knit:
        knit.start("echo hello", bound=False)
        assert knit.wait_for_completion(timeout=60)
        assert "hello\n" in [str(files.get("stdout")) for files in knit.logs().values()]


def test_the_doctor_and_the_shell(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    options = ["--rm", f"127.0.0.1:{gateway.port}", "--scheme", "https", "--user", "alice", "--bridge", "rest"]
    options += ["--password-file", str(file)]
    found = doctor([*options, "--gateway-path", DEFAULT, "--ca-bundle", str(gateway.ca)])
    ok, said = found["HTTP gateway"]
    assert ok, said
    assert "asks strangers for Basic authentication; lets alice in" in said
    assert "lacks" not in said
    assert "CN=The gateway's CA" in found["TLS"][1]
    assert found["filesystem"][0], found["filesystem"]
    found = doctor([*options, "--gateway-path", "/gateway/bare/resourcemanager", "--ca-bundle", str(gateway.ca)])
    assert "lacks WEBHDFS" in found["HTTP gateway"][1]
    found = doctor([*options, "--gateway-path", DEFAULT])
    ok, said = found["TLS"]
    assert not ok
    assert f"127.0.0.1:{gateway.port}, issued by CN=The gateway's CA" in said
    assert "ca_bundle=" in said


def doctor(options: list[str]) -> dict[str, tuple[bool, str]]:
    """What ``knit doctor`` finds, in an environment that says nothing of any Hadoop."""
    words = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME", "HADOOP_INSTALL", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    environment = {key: value for key, value in os.environ.items() if key not in words}
    command = [*COMMAND, "doctor", "--json", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return {one["what"]: (one["ok"], one["found"]) for one in json.loads(done.stdout)}
