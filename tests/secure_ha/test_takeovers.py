"""ResourceManagers and NameNodes that die, on a cluster with Kerberos and TLS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from knit_provider import Knit
from knit_provider.cli.main import main
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.bridge.delegation import DelegationTokens
from knit_provider.yarn.errors import ApplicationFailed
from knit_provider.yarn.tokens import Token
from tests.ha.takeover import kill_active
from tests.hadoop.eventually import eventually
from tests.kerberos.container_tokens import container_files, hdfs_token, is_taken

RM, NN = "resourcemanager", "namenode"
RM_IDS, NN_IDS = "yarn.resourcemanager.ha.rm-ids", "dfs.ha.namenodes.knit"

# Reads and writes HDFS once for each round that it is told to begin, with the tokens it has and nothing else.
SCRIPT = """
unset KRB5CCNAME
hdfs() {{ "$HADOOP_HOME/bin/hadoop" fs "$@"; }}
echo once >> {here}/{name}-ran
round=1
until [ -e {here}/stop ]; do
  if [ -e {here}/go-$round ]; then
    hdfs -cat {folder}/input > read || exit 91
    hdfs -put read {folder}/{name}-$round || exit 92
    echo {name} did $round
    touch {here}/{name}-did-$round
    round=$((round + 1))
  fi
  sleep 0.2
done
exit {code}
"""


def standbys_first(cluster: LocalCluster) -> dict[str, str]:
    """The lists of ids, in the order in which the wrong one is asked first."""
    return {
        key: ",".join(f"{key_prefix}{daemon.name[-1]}" for daemon in (cluster.standby(kind), cluster.active(kind)))
        for key, key_prefix, kind in ((RM_IDS, "rm", RM), (NN_IDS, "nn", NN))
    }


def documented(cluster: LocalCluster) -> dict[str, str]:
    """What a client needs to be told that has no file of the cluster's."""
    prefixes = ("dfs.nameservices", "dfs.ha.namenodes.", "dfs.namenode.rpc-", "dfs.namenode.https-", "dfs.client.")
    names = ("hadoop.security.authentication", "fs.defaultFS", "dfs.http.policy", "yarn.http.policy")
    principals = ("yarn.resourcemanager.principal", "dfs.namenode.kerberos.principal")
    return {
        name: value
        for name, value in cluster.settings.items()
        if name.startswith(prefixes) or name in (*names, *principals)
    }


def web(cluster: LocalCluster, name: str) -> str:
    return cluster.plan.web_of(name)


def begin(folder: Path, number: int) -> None:
    """Tell all applications to begin a round."""
    (folder / f"go-{number}").touch()


def unrenewed(knit: Knit) -> Token:
    """A token of the default filesystem that no application has."""
    connection = knit.connection
    tokens = DelegationTokens(connection.full_conf, knit.user, connection.session.auth).collect(())
    return Token.parse(tokens.texts["ha-hdfs:knit"])


def tokens_of(cluster: LocalCluster, app_id: str) -> Token:
    """What the containers of an application read HDFS with."""
    tokens = {hdfs_token(path) for path in container_files(cluster, app_id, "container_tokens").values()}
    (token,) = tokens
    return token


def test_somebody_else_is_served_and_the_doctor_finds_nothing_wrong(
    secure_ha_cluster: LocalCluster, make_knit: Callable[..., Knit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By WebHDFS, the one way in that takes a login that acts for others; the standbys are listed first."""
    cluster, realm = secure_ha_cluster, secure_ha_cluster.realm
    login = {"principal": realm.principal(daemon_user()), "keytab": str(realm.keytab(daemon_user()))}
    knit = make_knit(**login, proxy_user="alice", pars=standbys_first(cluster))
    assert knit.connection.session.addresses[0].endswith(web(cluster, cluster.standby(RM).name))
    assert knit.connection.files.serving("/") == "webhdfs"
    app_id = knit.start("sleep 300")
    staging = knit.connection.files.status(knit.connection.paths.staging(app_id))
    assert staging is not None
    assert staging.owner == "alice"
    eventually(lambda: len([one for one in knit.get_containers() if one["service"]]) == 1)
    assert knit.kill()

    monkeypatch.setenv("HADOOP_HOME", str(cluster.hadoop_home))
    words = ["doctor", "--json", "--bridge", "rest", "--conf-dir", str(cluster.conf_dir)]
    for name, value in login.items():
        words += [f"--{name}", value]
    done = CliRunner().invoke(main, words)
    found = {one["what"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == 0, [one for one in found.values() if not one["ok"]]
    assert "for ha-hdfs:knit" in found["tokens"]["found"]
    for kind, title in ((RM, "ResourceManagers"), (NN, "NameNodes")):
        assert f"{web(cluster, cluster.active(kind).name)} is active" in found[title]["found"]
        assert f"{web(cluster, cluster.standby(kind).name)} is standby" in found[title]["found"]


def test_what_resource_managers_keep_in_zookeeper_is_theirs(secure_ha_cluster: LocalCluster) -> None:
    """It is what their keys and the tokens of applications are in, and who connects there names no principal."""
    ask = secure_ha_cluster.plan.ask_zookeeper("get", "/rmstore/ZKRMStateRoot/AMRMTokenSecretManagerRoot")
    said = subprocess.run(ask.command, env=dict(ask.environment), capture_output=True, text=True, timeout=60)
    assert "Insufficient permission" in said.stderr + said.stdout


def test_applications_keep_their_tokens_while_both_kinds_die(
    secure_ha_cluster: LocalCluster, make_knit: Callable[..., Knit], tmp_path: Path
) -> None:
    """One is submitted by REST, without any file of the cluster's, the other one by the gateway."""
    cluster = secure_ha_cluster
    order = standbys_first(cluster)
    managers = [web(cluster, cluster.standby(RM).name), web(cluster, cluster.active(RM).name)]
    rest = make_knit(
        hadoop_conf_dir=None,
        autodetect=False,
        rm_addresses=managers,
        ca_bundle=str(cluster.ca),
        pars={**documented(cluster), NN_IDS: order[NN_IDS]},
    )
    knits = {"rest": rest, "jvm": make_knit(bridge="jvm", pars=order)}
    before, folder = set(rest.yarn_api.apps), f"/tmp/{tmp_path.name}-{tmp_path.parent.name}"
    rest.connection.files.write_many(folder, {"input": b"content"})
    ids = {
        name: knits[name].start(
            SCRIPT.format(name=name, folder=folder, here=tmp_path, code=code), memory=512, app_name=name
        )
        for name, code in (("jvm", 3), ("rest", 0))
    }
    eventually(lambda: all((tmp_path / f"{name}-ran").exists() for name in ids))

    with ThreadPoolExecutor(len(ids)) as pool:
        ended = {name: pool.submit(knits[name].wait_for_completion, 300) for name in ids}
        try:
            calls: dict[str, Callable[[], object]] = {name: knits[name].status for name in ids}
            print(f"\nafter the takeover of YARN, in seconds: {kill_active(cluster, RM, calls)}")
            # Nobody renews this one. It is younger than the last renewals by the ResourceManager that died, so once it
            # has ended, the applications' tokens live only because the heir renews them.
            alone = unrenewed(rest)
            assert is_taken(cluster, alone)
            begin(tmp_path, 1)  # which takes a JVM, that is longer than to kill
            calls = {name: partial(knit.connection.files.status, folder) for name, knit in knits.items()}
            print(f"after the takeover of HDFS, in seconds: {kill_active(cluster, NN, calls)}")
            for name in ids:
                eventually((tmp_path / f"{name}-did-1").exists)
            tokens = [tokens_of(cluster, app_id) for app_id in ids.values()]
            assert {token.service for token in tokens} == {"ha-hdfs:knit"}
            eventually(lambda: not is_taken(cluster, alone), seconds=90)
            assert all(is_taken(cluster, token) for token in tokens), "the heir did not renew them"
            begin(tmp_path, 2)
            for name in ids:
                eventually((tmp_path / f"{name}-did-2").exists)
        finally:
            (tmp_path / "stop").touch()
        assert {name: future.result() for name, future in ended.items()} == {"rest": True, "jvm": False}

    assert {name: knits[name].status()["finalStatus"] for name in ids} == {"rest": "SUCCEEDED", "jvm": "FAILED"}
    with pytest.raises(ApplicationFailed) as failure:
        knits["jvm"].application().wait()
    assert failure.value.exit_code == 3
    files = rest.connection.files
    for name, app_id in ids.items():
        assert len(rest.yarn_api.app_attempts(app_id)) == 1
        assert (tmp_path / f"{name}-ran").read_text() == "once\n"
        assert [files.read(f"{folder}/{name}-{number}") for number in (1, 2)] == [b"content"] * 2
        logs = knits[name].logs(shell=True)
        assert {one["service"] for one in logs.values()} == {"default", None}, "of the ApplicationMaster too"
        words = "".join(str(one["stdout"]) for one in logs.values() if one["service"])
        assert f"{name} did 1\n{name} did 2\n" in words
        assert files.status(rest.connection.paths.staging(app_id)) is None
    assert set(rest.yarn_api.apps) - before == set(ids.values())
    files.delete(folder, recursive=True)
