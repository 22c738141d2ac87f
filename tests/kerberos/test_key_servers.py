"""Tokens of a real key server (Hadoop KMS), without which nobody reads an encryption zone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.ports import PortPool
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.bridge.kms import KeyServers
from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, PermissionDenied
from knit_provider.yarn.gateway.maven import Artifact, cache_lock, fetch_one, find_maven, hadoop
from knit_provider.yarn.kerberos import KerberosLogin
from knit_provider.yarn.rest.auth import KerberosAuth
from knit_provider.yarn.tokens import KMS_KIND
from knit_provider.yarn.user_cache import cache_folder
from tests.hadoop.eventually import eventually

SCRIPT = 'tr -c "[:alnum:]_-" "\\n" < "$HADOOP_TOKEN_FILE_LOCATION" | grep -xE "kms-dt|.*_TOKEN" | sort -u'


def server_jars(version: str) -> Path:
    """A folder of what the key server has beyond the other daemons' jars."""
    folder = cache_folder(os.environ, "hadoop") / f"kms-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with cache_lock(folder / "lock"):
        for artifact in (hadoop("hadoop-kms", version), Artifact("org.slf4j", "jul-to-slf4j", "1.7.36")):
            if not (folder / artifact.file).is_file():
                maven = find_maven(os.environ, "Hadoop's key server is", folder)
                fetch_one(maven, artifact, folder, folder / "log", os.environ)
    return folder


@pytest.fixture(scope="module")
def key_server(kerberos_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A key server in the cluster's realm; its URI."""
    cluster, realm = kerberos_cluster, kerberos_cluster.realm
    folder = tmp_path_factory.mktemp("kms")
    with PortPool() as ports:
        port = ports.pick()
    user = daemon_user()
    settings = {
        "hadoop.kms.http.host": "127.0.0.1",
        "hadoop.kms.http.port": str(port),
        "hadoop.kms.key.provider.uri": f"jceks://file@{folder}/keys",
        "hadoop.kms.authentication.type": "kerberos",
        "hadoop.kms.authentication.kerberos.keytab": str(realm.services_keytab),
        "hadoop.kms.authentication.kerberos.principal": "*",
        "hadoop.kms.authentication.kerberos.name.rules": cluster.settings["hadoop.security.auth_to_local"],
        f"hadoop.kms.proxyuser.{user}.users": "*",
        f"hadoop.kms.proxyuser.{user}.hosts": "*",
        "hadoop.security.authentication": "kerberos",
        "hadoop.http.idle_timeout.ms": "5000",
    }
    body = "".join(f"<property><name>{k}</name><value>{escape(v)}</value></property>" for k, v in settings.items())
    for name in ("kms-site.xml", "core-site.xml"):
        (folder / name).write_text(f"<configuration>{body}</configuration>")
    (folder / "kms-acls.xml").write_text("<configuration/>")
    command = [
        f"{cluster.env()['JAVA_HOME']}/bin/java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
        f"-Djava.security.krb5.conf={realm.krb5_conf}", f"-Dkms.config.dir={folder}", f"-Dkms.log.dir={folder}",
        f"-Dhadoop.log.dir={folder}", "-cp",
        f"{folder}:{server_jars(cluster.hadoop_version)}/*:{cluster.plan.layout.jars}/*",
        "org.apache.hadoop.crypto.key.kms.server.KMSWebServer",
    ]  # fmt: skip
    log = folder / "out"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={"HADOOP_KEYSTORE_PASSWORD": "none", "PATH": os.environ["PATH"]}, stdout=out, stderr=out
        )

    def serves() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            return requests.get(f"http://127.0.0.1:{port}/kms/v1/keys/names", timeout=10).status_code == 401
        except requests.RequestException:
            return False

    try:
        eventually(serves, seconds=60)
        yield f"kms://http@127.0.0.1:{port}/kms"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def auth(kerberos_cluster: LocalCluster) -> Callable[[str], KerberosAuth]:
    realm = kerberos_cluster.realm
    return lambda user: KerberosAuth(KerberosLogin(realm.principal(user), str(realm.keytab(user))))


def test_a_token_is_taken_by_the_server_that_gave_it(key_server: str, auth: Callable[[str], KerberosAuth]) -> None:
    with KeyServers(key_server, auth("knit"), acted_for="alice") as servers:
        token = servers.token("rm/127.0.0.1@KNIT.LOCAL")
        (address,) = servers.addresses
    assert (token.kind, token.service, token.owner) == (KMS_KIND, key_server, "alice")
    url = f"{address}/v1/keys/names"
    assert requests.get(url, headers={"X-Hadoop-Delegation-Token": token.to_text()}, timeout=20).status_code == 200
    assert requests.get(url, timeout=20).status_code == 401


def test_who_may_not_act_for_others_is_told(key_server: str, auth: Callable[[str], KerberosAuth]) -> None:
    with (
        KeyServers(key_server, auth("alice"), acted_for="bob") as servers,
        pytest.raises(PermissionDenied, match=r"hadoop\.proxyuser\.alice\.hosts"),
    ):
        servers.token("rm")


def test_without_a_ticket(key_server: str) -> None:
    with KeyServers(key_server, None) as servers, pytest.raises(AuthenticationFailed, match="kinit"):
        servers.token("rm")


def test_an_application_has_it_and_the_resource_manager_renews_it(
    make_knit: Callable[..., Knit], key_server: str
) -> None:
    """A token that cannot be renewed makes the ResourceManager refuse the application."""
    knit = make_knit(bridge="rest", pars={"hadoop.security.key.provider.path": key_server})
    knit.start(SCRIPT)
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    (out,) = (str(c["stdout"]) for c in knit.logs(shell=True).values() if c["service"])
    assert out.split() == ["HDFS_DELEGATION_TOKEN", "kms-dt"]


def test_a_key_server_that_is_away_is_named_and_nothing_is_submitted(make_knit: Callable[..., Knit]) -> None:
    before = set(make_knit().yarn_api.apps)
    with PortPool() as ports:
        away = f"kms://http@127.0.0.1:{ports.pick()}/kms"
    knit = make_knit(bridge="rest", pars={"hadoop.security.key.provider.path": away})
    with pytest.raises(ClusterUnavailable, match=r"no key server of kms://.*hadoop\.security\.key\.provider\.path"):
        knit.start("true")
    assert set(make_knit().yarn_api.apps) == before
