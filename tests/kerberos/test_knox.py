"""A gateway in front of a cluster with Kerberos: users have a password, and only the gateway has a ticket."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from knit_provider import Knit
from knit_provider.cli.main import main
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.kdc import GATEWAY, REALM
from knit_provider.localcluster.ports import PortPool
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.errors import ApplicationMasterUnreachable, ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.files.port import RemoteFileExists
from knit_provider.yarn.gateway.maven import Artifact, hadoop
from knit_provider.yarn.tokens import HDFS_KIND, Token, read_token_file
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
from tests.kerberos.conftest import documented_conf
from tests.kerberos.http_servers import running, write_site

OTHERS_MAY_SEE = {"view_users": [GATEWAY]}

# Reads and writes HDFS with the container's tokens, and shows those.
SCRIPT = """
unset KRB5CCNAME
"$HADOOP_HOME/bin/hadoop" fs -cp {folder}/input {folder}/output
echo "tokens=$(base64 -w0 "$HADOOP_TOKEN_FILE_LOCATION")"
while [ ! -e {stop} ]; do sleep 0.2; done
"""


@pytest.fixture(scope="module")
def httpfs(kerberos_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real HttpFS before the cluster's NameNode; its address."""
    cluster, realm = kerberos_cluster, kerberos_cluster.realm
    folder = tmp_path_factory.mktemp("httpfs")
    with PortPool() as ports:
        port = ports.pick()
    (folder / "temp").mkdir()
    (folder / "secret").write_text(uuid.uuid4().hex)
    http = "hadoop.http.authentication."
    login = {"type": "kerberos", "kerberos.keytab": str(realm.services_keytab)}
    settings = {
        **{f"{http}{key}": value for key, value in {**login, "kerberos.principal": "*"}.items()},
        f"{http}signature.secret.file": str(folder / "secret"),
        **{f"httpfs.hadoop.authentication.{key}": value for key, value in login.items()},
        "httpfs.hadoop.authentication.kerberos.principal": f"nn/127.0.0.1@{REALM}",
        "httpfs.hadoop.config.dir": str(cluster.conf_dir),
        "httpfs.http.hostname": "127.0.0.1",
        "httpfs.http.port": str(port),
        f"httpfs.proxyuser.{GATEWAY}.hosts": "*",
        f"httpfs.proxyuser.{GATEWAY}.groups": "*",
    }
    write_site(folder / "httpfs-site.xml", settings)
    for name in ("core-site.xml", "hdfs-site.xml"):
        (folder / name).write_text((cluster.conf_dir / name).read_text())
    artifacts = [
        hadoop("hadoop-hdfs-httpfs", cluster.hadoop_version),
        Artifact("com.googlecode.json-simple", "json-simple", "1.1.1"),
    ]
    properties = {f"httpfs.{name}.dir": str(folder) for name in ("home", "config", "log")}
    properties["httpfs.temp.dir"] = str(folder / "temp")
    main = "org.apache.hadoop.fs.http.server.HttpFSServerWebServer"
    address = f"http://127.0.0.1:{port}"
    with running(cluster, folder, main, artifacts, properties, f"{address}/webhdfs/v1/?op=GETHOMEDIRECTORY"):
        yield address


@pytest.fixture(scope="module")
def gateway(kerberos_cluster: LocalCluster, httpfs: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It may act for the daemons' user and for alice, and not for bob, whose password it takes too."""
    realm = kerberos_cluster.realm
    with gateway_before(
        kerberos_cluster,
        tmp_path_factory.mktemp("knox"),
        users=(daemon_user(), "alice", "bob"),
        environment={**os.environ, **realm.environment()},
        principal=f"{GATEWAY}/127.0.0.1@{REALM}",
        keytab=str(realm.keytab(GATEWAY)),
        httpfs=httpfs,
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def outside(gateway: Gateway, environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[set[int]]:
    """A machine without Kerberos and without the cluster's names, which reaches the gateway alone."""
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "no-krb5.conf"))

    def unknown(host: str) -> str:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    with nothing_else_reachable(gateway) as tried:
        yield tried


@pytest.fixture
def through(gateway: Gateway) -> Iterator[Callable[..., Knit]]:
    with knits_through(gateway) as make:
        yield make


def said(knit: Knit, **how: object) -> str:
    """What the containers, and not their ApplicationMaster, wrote."""
    found = knit.logs(retries=20, delay=0.5, **how)  # type: ignore[arg-type]
    return "".join(str(f["stdout"]) for f in found.values() if f["service"] and "stdout" in f)


def test_a_whole_job(
    through: Callable[..., Knit],
    kerberos_cluster: LocalCluster,
    outside: set[int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    knit = through(user=daemon_user(), bridge="auto")
    files, stop, folder = knit.connection.files, tmp_path / "stop", f"/tmp/knox-{uuid.uuid4().hex}"
    files.write_many(folder, {"input": b"content"})
    script = SCRIPT.format(folder=folder, stop=stop)
    with caplog.at_level(logging.DEBUG):
        spec = {"acls": OTHERS_MAY_SEE, "services": {"w": {"script": script, "resources": {"memory": 512}}}}
        app_id = knit.submit(spec)
        eventually(lambda: "tokens=" in said(knit), every=0.5)
        assert knit.runtime_status() == "RUNNING", "these logs came from the node"
        stop.touch()
        assert knit.wait_for_completion(60), knit.status()
        (text,) = re.findall(r"tokens=(\S+)", said(knit, shell=True))
    assert knit.connection.bridge.name == "rest"
    assert knit.status()["user"] == daemon_user()
    copy = files.status(f"{folder}/output")
    assert copy is not None
    assert copy.owner == daemon_user()
    assert files.status(knit.connection.paths.staging(app_id)) is None, "the ApplicationMaster tidies up"
    files.delete(folder, recursive=True)
    (token,) = read_token_file(base64.b64decode(text))
    assert (token.kind, token.owner) == (HDFS_KIND, daemon_user())
    shown = caplog.text.replace(text, "")
    for secret in (token.password, token.identifier):
        assert base64.urlsafe_b64encode(secret).decode().rstrip("=")[:40] not in shown
    assert not re.search(r"delegation=(?!\.\.\.)", shown)
    assert PASSWORD not in shown
    assert not outside & ports_of(kerberos_cluster), "a daemon was asked directly"


def test_whose_tokens_they_are_and_where_they_count(
    through: Callable[..., Knit], kerberos_cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    keys = "kms://http@keys.inside:9600/kms"
    connection = through(pars={"hadoop.security.key.provider.path": keys}).connection
    namenode = kerberos_cluster.settings["fs.defaultFS"].removeprefix("hdfs://")
    collected = connection.bridge.collect([f"hdfs://{namenode}/user/alice/{uuid.uuid4().hex}/not-there-yet"])
    assert collected is not None
    (token,) = (Token.parse(text) for text in collected.texts.values())
    assert (token.owner, token.renewer, token.service) == ("alice", daemon_user(), namenode)
    assert f"no token of the key server {keys}, to which the gateway" in caplog.text


def test_what_an_application_of_somebodys_does_without(
    through: Callable[..., Knit], kerberos_cluster: LocalCluster
) -> None:
    """Nodes show its logs to whom the gateway is, and nobody reaches its ApplicationMaster; it can be killed.

    With a keytab beside the password it may outlive its tokens, which takes no KDC here.
    """
    realm = kerberos_cluster.realm
    knit = through(principal=realm.principal("alice"), keytab=str(realm.keytab("alice")))
    app_id = knit.start("echo said; sleep 300", lifetime=8 * 86_400)
    assert knit.status()["user"] == "alice"

    def problems() -> list[str]:
        return [str(entry["problem"]) for entry in knit.logs().values() if entry["service"] and "problem" in entry]

    (problem,) = eventually(problems, every=0.5)
    assert f"{GATEWAY} lacks the right to view {app_id}" in problem
    assert f"view_users: [{GATEWAY}]" in problem
    with pytest.raises(ApplicationMasterUnreachable, match=r"localhost:\d+"):
        knit.add_containers(1)
    # The ApplicationMaster has logged in with the keytab by then.
    staging = knit.connection.paths.staging(app_id)
    eventually(lambda: knit.connection.files.status(f"{staging}/tokens") is not None)
    assert knit.kill()
    assert knit.runtime_status() == "KILLED"


def test_what_is_refused_before_anything_is_submitted(
    through: Callable[..., Knit], kerberos_cluster: LocalCluster
) -> None:
    rule = rf"bob.*hadoop\.proxyuser\.{GATEWAY}\.hosts and hadoop\.proxyuser\.{GATEWAY}\.users"
    for action in (
        lambda knit: knit.start("true"),
        lambda knit: knit.yarn_api.apps,
        lambda knit: knit.connection.files.status("/"),
    ):
        with pytest.raises(PermissionDenied, match=rule):
            action(through(user="bob"))
    knit = through()
    before = set(knit.yarn_api.apps)
    # The cluster's tokens last for seven days.
    with pytest.raises(ConfigurationError, match=r"8 days.*end after 7 days.*keytab=.*of alice, beside the password"):
        knit.start("true", lifetime=8 * 86_400)
    for_bob = {"user": "bob", "services": {"w": {"script": "true", "resources": {"memory": 64}}}}
    with pytest.raises(ConfigurationError, match="log in there as that user"):
        knit.submit(for_bob)
    assert set(knit.yarn_api.apps) == before
    realm = kerberos_cluster.realm
    with pytest.raises(ConfigurationError, match="leave user out"):
        through(principal=realm.principal("bob"), keytab=str(realm.keytab("bob")))


def test_a_strangers_ticket_is_not_taken_for_the_users(
    through: Callable[..., Knit], kerberos_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the gateway does not lead to HDFS, others do; as the user or not at all."""
    realm = kerberos_cluster.realm
    monkeypatch.setenv("KRB5_CONFIG", str(realm.krb5_conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{realm.ticket('bob', tmp_path / 'cache')}")
    names = ("fs.defaultFS", "yarn.resourcemanager.address", "yarn.application.classpath")
    conf = documented_conf(kerberos_cluster) | {name: kerberos_cluster.settings[name] for name in names}
    bare = "/gateway/bare/resourcemanager"
    for bridge in ("rest", "auto", "jvm"):
        with pytest.raises(KnitError, match=r"the one here is bob@.*while the password is alice's"):
            through(bare, bridge=bridge, pars=conf).start("true")


def test_httpfs_behind_the_gateway(through: Callable[..., Knit], tmp_path: Path) -> None:
    """Files go through it, and an application would have to go without tokens, which it makes for itself alone."""
    knit = through("/gateway/httpfs/resourcemanager")
    files, folder = knit.connection.files, f"/user/alice/httpfs-{uuid.uuid4().hex}"
    local = tmp_path / "data"
    local.write_bytes(os.urandom(2**20))
    files.put(local, f"{folder}/data")
    files.write_many(folder, {"a": b"0123456789", "empty": b""})
    assert files.read(f"{folder}/data") == local.read_bytes()
    assert (files.read_range(f"{folder}/a", 3, 4), files.read(f"{folder}/empty")) == (b"3456", b"")
    assert sorted(entry.path.rpartition("/")[2] for entry in files.list(folder)) == ["a", "data", "empty"]
    status = files.status(f"{folder}/a")
    assert status is not None
    assert (status.owner, status.permission) == ("alice", "600")
    assert files.free(folder).remaining is None, "it does not know the operation, and that is no error"
    with pytest.raises(RemoteFileExists):
        files.rename(f"{folder}/a", f"{folder}/empty")
    with pytest.raises(PermissionDenied, match="/user/bob"):
        files.list("/user/bob")
    assert files.delete(folder, recursive=True)
    before = set(knit.yarn_api.apps)
    with pytest.raises(ConfigurationError, match=r"as HttpFS does.*WEBHDFS point to the NameNodes"):
        knit.start("true")
    assert set(knit.yarn_api.apps) == before


def test_the_doctor(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    options = ["--rm", f"127.0.0.1:{gateway.port}", "--scheme", "https", "--user", "alice", "--bridge", "rest"]
    options += ["--gateway-path", DEFAULT, "--ca-bundle", str(gateway.ca), "--password-file", str(file)]
    done = CliRunner().invoke(main, ["doctor", "--json", *options])
    found = {one["what"]: (one["ok"], one["found"]) for one in json.loads(done.stdout)}
    assert found["tokens"][0], found
    assert "for 7 days" in found["tokens"][1]
    assert "ticket" not in found, "nobody needs one here"
    assert found["HTTP gateway"][0], found
