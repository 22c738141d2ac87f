"""Whole jobs on a cluster with TLS on every web port, and all the ways in which a server is not who it should be."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.tls import CA_NAME, Authority
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError
from knit_provider.yarn.rest.transport import CertificateRefused
from knit_provider.yarn.tls import trust_of
from tests.hadoop.eventually import eventually
from tests.hadoop.test_cli import COMMAND
from tests.tls.servers import server


@pytest.mark.parametrize("bridge", ["rest", "jvm"])
def test_a_whole_job(make_knit: Callable[..., Knit], bridge: str, tmp_path: Path) -> None:
    knit = make_knit(bridge=bridge)
    assert knit.connection.session.active_address.startswith("https://")
    go = tmp_path / "go"
    tmp_path.chmod(0o777)
    knit.start(f"echo one; until [ -e {go} ]; do sleep 0.1; done; echo two")
    eventually(lambda: any("one" in chunk.text for chunk in knit.iter_logs()), every=0.3)
    go.touch()
    assert knit.wait_for_completion(timeout=60)
    found = [str(files["stdout"]) for files in knit.logs().values() if files["service"] == "default"]
    assert found == ["one\ntwo\n"]
    assert knit.connection.bridge.name == bridge


def test_without_a_file_the_ca_is_enough(tls_cluster: LocalCluster, make_bare: Callable[..., Knit]) -> None:
    for given in (str(tls_cluster.ca), tls_cluster.ca.read_text()):
        knit = make_bare(ca_bundle=given)
        assert knit.yarn_api.cluster_info()["state"] == "STARTED"
    # The ResourceManager's own words say that the NameNode and the DataNodes have TLS too.
    files = knit.connection.files
    folder = f"{files.uri_home()}/secure"
    try:
        files.write_many(folder, {"a": b"content"})
        assert files.read(f"{folder}/a") == b"content"
    finally:
        files.delete(folder, recursive=True)
    assert files.serving("/") == "webhdfs"


def test_the_gateway_jvm_trusts_the_same(
    tls_cluster: LocalCluster, make_knit: Callable[..., Knit], make_bare: Callable[..., Knit], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    uri = f"swebhdfs://{tls_cluster.namenode_web}/user/alice"
    by_files = make_knit(bridge="jvm").connection.bridge
    assert by_files.files.status(uri) is not None
    by_ca = make_bare(bridge="jvm", ca_bundle=str(tls_cluster.ca)).connection.bridge
    assert by_ca.files.status(uri) is not None
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(Authority("Somebody else").pem)
    by_stranger = make_bare(bridge="jvm", ca_bundle=str(stranger))
    conf = by_stranger.connection.conf.with_cluster(make_knit().yarn_api.cluster_conf())
    monkeypatch.setattr(by_stranger.connection, "_full_conf", conf)
    with pytest.raises(Exception, match=r"(?i)PKIX|certification path|SSL"):
        by_stranger.connection.bridge.files.status(uri)


def test_a_ca_that_is_not_trusted(tls_cluster: LocalCluster, make_bare: Callable[..., Knit], tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(Authority("Somebody else").pem)
    for given in (None, str(stranger)):
        with pytest.raises(ClusterUnavailable) as caught:
            make_bare(ca_bundle=given).yarn_api.cluster_info()
        for part in (f"https://{tls_cluster.rm_web}", f"issued by CN={CA_NAME}", "not trusted", "ca_bundle="):
            assert part in str(caught.value)
    with pytest.raises(ConfigurationError, match="is no file"):
        make_bare(ca_bundle=str(tmp_path / "missing.pem"))


def test_a_certificate_for_somebody_else_or_of_another_time(make_bare: Callable[..., Knit], tmp_path: Path) -> None:
    authority = Authority("The right CA")
    past = datetime.now(UTC) - timedelta(days=3)
    for name, names, ends, said in (
        ("other", ["rm.example.com", "10.0.0.1"], None, r"not for 127.0.0.1: it is for rm.example.com, 10.0.0.1"),
        ("old", ["127.0.0.1"], past, rf"expired on {past:%Y-%m-%d}"),
    ):
        certificate = authority.write_server(tmp_path / f"{name}.pem", names, ends=ends)
        with server(lambda handler: handler.send_error(500), certificate) as (port, asked):
            knit = make_bare(rm_addresses=[f"127.0.0.1:{port}"], ca_bundle=authority.pem, password="canary")
            with pytest.raises(ClusterUnavailable, match=said) as caught:
                knit.yarn_api.cluster_metrics()
            assert "CN=The right CA" in str(caught.value)
            with pytest.raises(CertificateRefused):
                knit.connection.session._transport.exchange("GET", f"https://127.0.0.1:{port}/", timeout=5)
            assert asked == [], "something was said to a server that is not the one meant"


def test_a_way_back_to_plain_http_is_refused(make_bare: Callable[..., Knit], tmp_path: Path) -> None:
    authority = Authority()
    certificate = authority.write_server(tmp_path / "server.pem", ["127.0.0.1"])
    with server(lambda handler: handler.send_error(500), None) as (plain, asked):

        def send_there(handler: object) -> None:
            handler.send_response(307)  # type: ignore[attr-defined]
            handler.send_header("Location", f"http://127.0.0.1:{plain}/ws/v1/cluster")  # type: ignore[attr-defined]
            handler.end_headers()  # type: ignore[attr-defined]

        with server(send_there, certificate) as (port, _):
            knit = make_bare(rm_addresses=[f"127.0.0.1:{port}"], ca_bundle=authority.pem, password="canary")
            with pytest.raises(ClusterUnavailable, match="without TLS; that is refused"):
                knit.yarn_api.cluster_metrics()
        assert asked == []
        # What a daemon names goes without the password where it has no TLS.
        knit.connection.session.get_url(f"http://127.0.0.1:{plain}/ws/v1/node", ok=(500,))
        assert "Authorization" not in asked[0]


def test_the_doctor_names_every_certificate(tls_cluster: LocalCluster) -> None:
    environment = {**os.environ, **tls_cluster.env(), "HADOOP_USER_NAME": "alice"}
    command = [*COMMAND, "doctor", "--json", "--bridge", "rest"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert found["TLS"]["ok"], found["TLS"]
    for address in (tls_cluster.rm_web, tls_cluster.namenode_web, tls_cluster.history_web):
        assert f"{address} by CN={CA_NAME} until " in found["TLS"]["found"]
    assert "truststore.jks, which ssl-client.xml names" in found["TLS"]["found"]
    assert done.returncode == 0, done.stdout


def test_the_stores_of_the_cluster(tls_cluster: LocalCluster, make_knit: Callable[..., Knit]) -> None:
    assert {path.stat().st_mode & 0o077 for path in (tls_cluster.ca.parent, tls_cluster.ca.parent / "server.p12")} == {
        0
    }
    assert trust_of(make_knit().connection.conf).pem == tls_cluster.ca.read_text()
    assert tls_cluster.status().web["resourcemanager"] == f"https://{tls_cluster.rm_web}"
