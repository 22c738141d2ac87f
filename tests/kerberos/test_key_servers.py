"""Tokens of a real key server (Hadoop KMS), without which nobody reads an encryption zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.ports import PortPool
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.bridge.kms import KeyServers
from knit_provider.yarn.errors import AuthenticationFailed, ClusterUnavailable, PermissionDenied
from knit_provider.yarn.gateway.maven import Artifact, hadoop
from knit_provider.yarn.kerberos import KerberosLogin
from knit_provider.yarn.rest.auth import KerberosAuth
from knit_provider.yarn.tokens import KMS_KIND
from tests.kerberos.http_servers import running, write_site

SCRIPT = 'tr -c "[:alnum:]_-" "\\n" < "$HADOOP_TOKEN_FILE_LOCATION" | grep -xE "kms-dt|.*_TOKEN" | sort -u'


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
    for name in ("kms-site.xml", "core-site.xml"):
        write_site(folder / name, settings)
    write_site(folder / "kms-acls.xml", {})
    artifacts = [hadoop("hadoop-kms", cluster.hadoop_version), Artifact("org.slf4j", "jul-to-slf4j", "1.7.36")]
    properties = {"kms.config.dir": str(folder), "kms.log.dir": str(folder)}
    main = "org.apache.hadoop.crypto.key.kms.server.KMSWebServer"
    place = f"http://127.0.0.1:{port}/kms"
    with running(cluster, folder, main, artifacts, properties, f"{place}/v1/keys/names"):
        yield f"kms://http@127.0.0.1:{port}/kms"


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
