"""SPNEGO at every web port, with a keytab and with a credential cache."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import AuthenticationFailed, PermissionDenied
from knit_provider.yarn.files.native import NativeFiles
from knit_provider.yarn.kerberos import KerberosLogin
from knit_provider.yarn.rest import Session
from knit_provider.yarn.rest.auth import KerberosAuth
from tests.hadoop.eventually import eventually


def web_ports(cluster: LocalCluster) -> dict[str, str]:
    return {
        name: f"http://{address}{path}"
        for name, daemon in cluster.daemons.items()
        for key, address in daemon.addresses.items()
        if "webapp" in key or "http" in key
        for path in ("/jmx", {"namenode": "/webhdfs/v1/?op=LISTSTATUS"}.get(name, "/logLevel?log=x"))
    }


def test_nobody_gets_anything_without_a_ticket(kerberos_cluster: LocalCluster) -> None:
    ports = web_ports(kerberos_cluster)
    assert set(ports) == set(kerberos_cluster.daemons) - {"kdc"}
    for url in ports.values():
        for named in (url, f"{url}&user.name=root"):
            answer = requests.get(named, timeout=20)
            assert answer.status_code == 401, (url, answer.text[:300])
            assert answer.headers["WWW-Authenticate"].startswith("Negotiate")


@pytest.mark.parametrize("how", ["keytab", "ccache", "environment"])
def test_every_web_port_takes_a_ticket(
    kerberos_cluster: LocalCluster, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = kerberos_cluster.realm
    cache = realm.ticket("alice", tmp_path / "cache")
    if how == "keytab":
        login = KerberosLogin(realm.principal("alice"), str(realm.keytab("alice")))
    elif how == "ccache":
        login = KerberosLogin(ccache=f"FILE:{cache}")
    else:
        monkeypatch.setenv("KRB5CCNAME", str(cache))
        login = KerberosLogin()
    assert login.who() == realm.principal("alice")
    with Session(HadoopConf.load(hadoop_conf_dir=kerberos_cluster.conf_dir), auth=KerberosAuth(login)) as session:
        for name, url in web_ports(kerberos_cluster).items():
            if name != "namenode":  # its own file listing is asked as a stranger above
                answer = session.get_url(url.partition("?")[0].replace("/logLevel", "/jmx"))
                assert "beans" in answer.json(), name


def test_a_secure_configuration_is_enough(
    kerberos_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_knit: Callable[..., Knit]
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{kerberos_cluster.realm.ticket('bob', tmp_path / 'cache')}")
    knit = make_knit(user=None)
    assert knit.user == "bob"
    assert knit.yarn_api.cluster_info()["state"] == "STARTED"
    assert knit.yarn_api.nodes()[0]["state"] == "RUNNING"
    assert isinstance(knit.yarn_api.apps, list)
    assert knit.connection.files.serving("/") == "hdfs-native"
    assert knit.connection.files.uri_home().endswith("/user/bob")


def test_two_users_in_one_process_are_two(make_knit: Callable[..., Knit]) -> None:
    alice, bob = make_knit("alice"), make_knit("bob")
    alice.connection.files.write_many("/user/alice/private", {"x": b"secret"})
    assert alice.connection.files.read("/user/alice/private/x") == b"secret"
    with pytest.raises(PermissionDenied, match="bob"):
        bob.connection.files.read("/user/alice/private/x")
    alice.connection.files.delete("/user/alice/private", recursive=True)


def test_threads_share_one_login(kerberos_cluster: LocalCluster) -> None:
    realm = kerberos_cluster.realm
    auth = KerberosAuth(KerberosLogin(realm.principal("alice"), str(realm.keytab("alice"))))
    url = f"http://{kerberos_cluster.rm_web}/ws/v1/cluster/info"

    def ask(_: int) -> int:
        return requests.get(url, auth=auth, timeout=20).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(40))) == {200}


@pytest.mark.parametrize(("proof", "words"), [(None, "did not prove"), ("bm8gcHJvb2Y=", "is not who it says it is")])
def test_a_server_has_to_prove_itself(kerberos_cluster: LocalCluster, proof: str | None, words: str) -> None:
    """Whoever answers in a daemon's place has no key of its principal, and is believed nothing."""
    realm = kerberos_cluster.realm

    class Impostor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            trusting = "Authorization" in self.headers
            self.send_response(200 if trusting else 401)
            value = f" {proof}" if trusting and proof else ""
            if not trusting or proof:
                self.send_header("WWW-Authenticate", f"Negotiate{value}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Impostor) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        auth = KerberosAuth(KerberosLogin(realm.principal("alice"), str(realm.keytab("alice"))))
        with pytest.raises(AuthenticationFailed, match=words):
            requests.get(f"http://127.0.0.1:{server.server_port}/", auth=auth, timeout=20)
        server.shutdown()


def test_tickets_of_a_keytab_are_got_anew(
    kerberos_cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm = kerberos_cluster.realm
    conf = tmp_path / "krb5.conf"
    conf.write_text(realm.krb5_conf.read_text().replace("ticket_lifetime = 1d", "ticket_lifetime = 2s"))
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    login = KerberosLogin(realm.principal("alice"), str(realm.keytab("alice")))
    first = login.credentials()
    assert first.lifetime <= 2

    def expired() -> bool:
        try:
            return first.lifetime == 0
        except Exception as error:
            return "expired" in str(error)

    eventually(expired, seconds=10)
    url = f"http://{kerberos_cluster.rm_web}/ws/v1/cluster/info"
    assert requests.get(url, auth=KerberosAuth(login), timeout=20).status_code == 200


def test_a_password_is_no_ticket(kerberos_cluster: LocalCluster) -> None:
    conf = HadoopConf.load(hadoop_conf_dir=kerberos_cluster.conf_dir)
    with Session(conf, "alice", "secret") as session, pytest.raises(AuthenticationFailed, match="kinit"):
        session.get_json("cluster/metrics")


@pytest.mark.parametrize("way", ["hdfs-native", "webhdfs"])
def test_large_files_go_up_and_come_down(
    make_knit: Callable[..., Knit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "webhdfs":
        monkeypatch.setattr(NativeFiles, "why_not", lambda *args, **kwargs: "not in this test")
    files = make_knit("alice").connection.files
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 20_000)
    files.put(source, "/user/alice/large")
    assert files.serving("/user/alice/large") == way
    assert files.read("/user/alice/large", 6_000_000) == source.read_bytes()
    assert files.status("/user/alice/large").owner == "alice"  # type: ignore[union-attr]
    files.delete("/user/alice/large")
