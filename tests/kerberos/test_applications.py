"""Applications on a cluster with Kerberos, from submission to their logs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.users import daemon_user
from knit_provider.yarn.errors import ConfigurationError
from tests.hadoop.eventually import eventually

# Reads and writes HDFS with what the container has been given, and with nothing else.
SCRIPT = """
unset KRB5CCNAME
hdfs() {{ "$HADOOP_HOME/bin/hadoop" fs "$@"; }}
hdfs -cat {folder}/input | tr a-z A-Z > output
hdfs -put -f output {folder}/output
echo said-{marker}
while [ ! -e {stop} ]; do sleep 0.2; done
"""


@pytest.fixture
def folder(knit: Knit) -> str:
    return f"/tmp/kerberos-{os.getpid()}-{id(knit)}"


def stdout_of(knit: Knit) -> str:
    return "".join(str(f["stdout"]) for f in knit.logs(retries=2, delay=1).values() if f["service"] and "stdout" in f)


def gateways() -> set[int]:
    """Process ids of this process's gateway JVMs."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any("GatewayMain" in word for word in child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.parametrize("bridge", ["rest", "jvm"])
def test_the_whole_life_of_an_application(
    bridge: str, knit: Knit, folder: str, tmp_path: Path, kerberos_cluster: LocalCluster
) -> None:
    """Tokens, live logs, control channel, aggregated logs; and no secret where others see it."""
    files, stop = knit.connection.files, tmp_path / "stop"
    assert knit.user == daemon_user(), "auth_to_local has to be minded here too"
    files.write_many(folder, {"input": b"content"})
    assert knit.connection.bridge.name == bridge
    before = gateways()
    app_id = knit.start(SCRIPT.format(folder=folder, marker="mark", stop=stop), memory=512)

    eventually(lambda: "said-mark" in stdout_of(knit))
    assert knit.runtime_status(app_id) == "RUNNING", "these logs came from the node"
    assert files.read(f"{folder}/output") == b"CONTENT"
    assert knit.status()["user"] == daemon_user()

    knit.add_containers(1, memory=512)
    eventually(lambda: len([c for c in knit.get_containers() if c["service"]]) == 2)

    control = json.loads(files.read(knit.connection.paths.staging(app_id) + "/control.json"))
    secrets = [value for value in control.values() if isinstance(value, str) and len(value) > 30 and value != app_id]
    assert secrets, control.keys()
    seen, master = 0, ""
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), *(f"{k}={v}" for k, v in process.environ().items())])
        except psutil.Error:
            continue
        if process.pid == os.getpid() or process.pid in {p.pid for p in psutil.Process().parents()}:
            continue
        master = words if "ApplicationMasterMain" in words and app_id in words else master
        seen += app_id in words or "GatewayMain" in words
        assert not any(secret in words for secret in secrets)
        assert "Bearer" not in words
    # Other tests' gateways may linger; a submission by REST starts none.
    assert bridge == "jvm" or gateways() <= before
    assert bridge == "rest" or gateways()
    assert seen >= (2 if bridge == "jvm" else 1), "neither the gateway nor a container was among them"
    assert f"-Djava.security.krb5.conf={kerberos_cluster.realm.krb5_conf}" in master, (
        "a node need have no /etc/krb5.conf"
    )
    scripts = [
        path.read_text()
        for path in kerberos_cluster.directory.glob(
            f"nodes/*/local/usercache/*/appcache/{app_id}/*/launch_container.sh"
        )
    ]
    assert scripts
    assert not any(secret in script for secret in secrets for script in scripts)

    stop.touch()
    assert knit.wait_for_completion(60), knit.status()
    aggregated = knit.logs(shell=True)
    assert any("said-mark" in str(f.get("stdout")) for f in aggregated.values())
    assert knit.connection.files.status(knit.connection.paths.staging(app_id)) is None
    files.delete(folder, recursive=True)


def test_a_ticket_cache_serves_and_files_are_the_users(
    make_knit: Callable[..., Knit], kerberos_cluster: LocalCluster, tmp_path: Path
) -> None:
    cache = kerberos_cluster.realm.ticket("alice", tmp_path / "cache")
    knit = make_knit(user=None, ccache=f"FILE:{cache}")
    assert knit.user == "alice"
    knit.start('"$HADOOP_HOME/bin/hadoop" fs -touchz /user/alice/made-by-a-container', memory=512)
    assert knit.wait_for_completion(60), knit.status()["diagnostics"]
    assert knit.status()["user"] == "alice"
    made = knit.connection.files.status("/user/alice/made-by-a-container")
    assert made is not None
    assert made.owner == "alice"
    knit.connection.files.delete(made.path)


def test_a_cluster_without_any_file_tells_the_rest_itself(
    make_knit: Callable[..., Knit], kerberos_cluster: LocalCluster
) -> None:
    knit = make_knit(hadoop_conf_dir=None, autodetect=False, rm_addresses=[kerberos_cluster.rm_web])
    assert knit.yarn_api.cluster_info()["state"] == "STARTED"
    knit.start("echo without-files")
    assert knit.wait_for_completion(60), knit.status()
    assert any("without-files" in str(files.get("stdout")) for files in knit.logs().values())


def test_kill(knit: Knit, make_knit: Callable[..., Knit]) -> None:
    app_id = knit.start("sleep 300")
    eventually(lambda: knit.runtime_status() == "RUNNING")
    # Another process would be nobody else: all it needs is a ticket of the same user.
    other = make_knit()
    other.attach(app_id)
    assert other.kill(app_id)
    assert knit.runtime_status() == "KILLED"


def test_nobody_becomes_somebody_else_by_naming_them(kerberos_cluster: LocalCluster) -> None:
    realm = kerberos_cluster.realm
    login = {"principal": realm.principal("alice"), "keytab": str(realm.keytab("alice"))}
    with pytest.raises(ConfigurationError, match=r"ticket is alice@.*leave user out"):
        Knit(hadoop_conf_dir=str(kerberos_cluster.conf_dir), user="bob", **login)
