"""Applications that live longer than their delegation tokens can, on a NameNode whose tokens live for a minute."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import (
    ApplicationMasterUnreachable,
    ClusterUnavailable,
    ConfigurationError,
    KnitError,
)
from knit_provider.yarn.files.port import RemoteFileNotFound
from tests.hadoop.eventually import eventually
from tests.hadoop.making import knits
from tests.kerberos.conftest import USER
from tests.kerberos.container_tokens import container_files, hdfs_token, is_taken

RENEWED_MS, LIFE_MS = 30_000, 60_000

# Reads HDFS with the tokens that its container has by then.
SCRIPT = """
unset KRB5CCNAME
while [ ! -e {folder}/go ]; do sleep 0.2; done
until "$HADOOP_HOME/bin/hadoop" fs -cat {file} > read; do sleep 1; done
mv read {folder}/read-$KNIT_INDEX
while [ ! -e {folder}/stop ]; do sleep 0.2; done
"""


@pytest.fixture(scope="module")
def short_lives(kerberos_cluster: LocalCluster) -> Iterator[None]:
    """The cluster's NameNode, started anew with tokens that end after a minute."""
    site = kerberos_cluster.conf_dir / "hdfs-site.xml"
    before = site.read_text()
    properties = "".join(
        f"<property><name>dfs.namenode.delegation.token.{name}</name><value>{ms}</value></property>"
        for name, ms in (("renew-interval", RENEWED_MS), ("max-lifetime", LIFE_MS))
    )

    def restart(text: str) -> None:
        site.write_text(text)
        namenode = kerberos_cluster.daemons["namenode"]
        namenode.kill()
        namenode.start()
        kerberos_cluster.wait_ready(60)
        # Hadoop's RPC client learns that a connection is gone when it next uses it: the first renewal of a token by the
        # ResourceManager fails then, and it refuses the application for it.
        realm = kerberos_cluster.realm
        login = {"principal": realm.principal(USER), "keytab": str(realm.keytab(USER))}
        with pytest.MonkeyPatch.context() as patch, knits(kerberos_cluster, "auto") as make:
            patch.setenv("KRB5_CONFIG", str(realm.krb5_conf))
            knit = make(**login)
            eventually(lambda: runs(knit), seconds=90, every=1)

    try:
        restart(before.replace("</configuration>", f"{properties}</configuration>"))
        yield
    finally:
        restart(before)


def runs(knit: Knit) -> bool:
    """Whether an application gets through all that a NameNode is needed for."""
    try:
        knit.start("true", lifetime=60)
        return knit.wait_for_completion(60)
    except KnitError as error:
        print(f"Not yet: {error}")
        return False


def staged(knit: Knit) -> set[str]:
    with contextlib.suppress(RemoteFileNotFound):
        return {entry.path for entry in knit.connection.files.list(knit.connection.paths.apps)}
    return set()


def kill_master(app_id: str) -> None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "ApplicationMasterMain" in " ".join(process.cmdline()) and app_id in str(process.environ()):
                process.kill()


@pytest.mark.usefixtures("short_lives")
def test_an_application_with_a_keytab_outlives_its_tokens(
    knit: Knit, kerberos_cluster: LocalCluster, tmp_path: Path
) -> None:
    """Its containers get new ones, those that are there and those that a second attempt starts."""
    files, file = knit.connection.files, f"/tmp/outlives-{uuid.uuid4().hex}/input"

    def written() -> bool:
        # A NameNode that was started a moment ago knows its DataNode, and does not give it blocks at once.
        with contextlib.suppress(ClusterUnavailable):
            return bool(files.write_many(file.rpartition("/")[0], {"input": b"content"}, overwrite=True))
        return False

    eventually(written)
    script = SCRIPT.format(folder=tmp_path, file=file)
    resources = {"memory": 512, "vcores": 1}
    spec = {"lifetime": 600, "max_attempts": 2, "services": {"w": {"script": script, "resources": resources}}}
    app_id = knit.submit(spec)
    app = knit.application()

    keytab = files.status(f"{knit.connection.paths.staging(app_id)}/knit.keytab")
    assert keytab is not None
    assert keytab.permission == "600"
    (worker,) = eventually(lambda: container_files(kerberos_cluster, app_id, "knit-run.sh"))
    (master,) = (path for path in container_files(kerberos_cluster, app_id, "knit.keytab").values())
    assert master.parent.name != worker, "no other container has the keytab"
    assert master.stat().st_mode & 0o077 == 0

    tokens = container_files(kerberos_cluster, app_id, "container_tokens")[worker]
    first = hdfs_token(tokens)
    assert is_taken(kerberos_cluster, first)
    eventually(lambda: not is_taken(kerberos_cluster, first), seconds=LIFE_MS / 1000 + 30, every=1)
    newer = hdfs_token(tokens)
    assert newer != first
    assert tokens.stat().st_mode & 0o077 == 0

    def read(index: int) -> bool:
        path = tmp_path / f"read-{index}"
        return path.exists() and path.read_text() == "content"

    (tmp_path / "go").touch()
    eventually(lambda: read(0))

    kill_master(app_id)

    def second() -> bool:
        # Between two attempts nobody answers.
        with contextlib.suppress(ApplicationMasterUnreachable):
            return app.state == "RUNNING" and bool(app.control().status()["attempt"] == 2)
        return False

    eventually(second, seconds=90)
    knit.add_containers(1, memory=512)
    eventually(lambda: read(1))
    (tmp_path / "stop").touch()
    assert knit.wait_for_completion(60), knit.status()
    assert files.status(knit.connection.paths.staging(app_id)) is None
    files.delete(file.rpartition("/")[0], recursive=True)


@pytest.mark.usefixtures("short_lives")
@pytest.mark.parametrize("bridge", ["rest", "jvm"])
def test_without_a_keytab_it_is_refused(
    bridge: str, make_knit: Callable[..., Knit], kerberos_cluster: LocalCluster, tmp_path: Path
) -> None:
    cache = kerberos_cluster.realm.ticket("alice", tmp_path / "cache")
    with_ticket = make_knit(user=None, ccache=f"FILE:{cache}")
    before = set(make_knit().yarn_api.apps)
    refusals: list[tuple[Knit, dict[str, Any], str]] = [
        (with_ticket, {"checks": False, "lifetime": 90}, r"may live for 90 s.*end after 60 s.*lifetime=60.*keytab="),
        (with_ticket, {"lifetime": None}, "no limit to its lifetime"),
        (make_knit(proxy_user="alice"), {"lifetime": 90}, "not used for proxy_user='alice'"),
    ]
    there = staged(with_ticket)
    for knit, arguments, words in refusals:
        with pytest.raises(ConfigurationError, match=words):
            knit.start("true", **arguments)
        assert staged(knit) == there
    assert set(make_knit().yarn_api.apps) == before
    app_id = with_ticket.start("sleep 300", lifetime=60)
    assert with_ticket.connection.files.status(f"{with_ticket.connection.paths.staging(app_id)}/knit.keytab") is None
    assert with_ticket.kill()
