"""Environments on a real HDFS and YARN: shipped once, used on every node, and removed only when nobody uses them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knit_provider import Knit
from knit_provider.environments.cache import prune, publish
from knit_provider.environments.provide import packed_archive
from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.errors import ConfigurationError, PermissionDenied
from knit_provider.yarn.files.choose import ChosenFiles
from knit_provider.yarn.files.env_cache import is_public
from knit_provider.yarn.submission.sweep import remove_unfinished
from tests.hadoop.eventually import eventually
from tests.hadoop.packed import pack
from tests.hadoop.test_cli import run

HOUR = 3600.0
TELL = """\
import json, os, sys, sysconfig, told
print(json.dumps({"words": told.WORDS, "told": told.__file__, "prefix": sys.prefix, "python": sys.executable,
    "conda": os.environ["CONDA_PREFIX"], "bin": os.environ["PYTHON_BIN"], "cwd": os.getcwd()}))
"""


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """hdfs-native takes a simple user from the environment alone; notes of digests do not go to the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HADOOP_USER_NAME", "alice")
        yield


@pytest.fixture(autouse=True)
def _own_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def home(make_knit: Callable[..., Knit]) -> Iterator[str]:
    """A folder in HDFS for this test's environments alone."""
    path = f"/user/alice/envs-{uuid.uuid4().hex[:8]}"
    yield path
    make_knit().connection.files.delete(path, recursive=True)


@pytest.fixture
def own(make_knit: Callable[..., Knit], home: str) -> Knit:
    return make_knit(hdfs_home=home)


def told(knit: Knit) -> list[dict[str, Any]]:
    """What the containers said, with the node they ran on."""
    assert knit.wait_for_completion(timeout=120), knit.logs()
    return [
        {**json.loads(str(files["stdout"])), "node": files["nodeId"], "service": files["service"]}
        for files in knit.logs().values()
        if files["service"] is not None
    ]


def archives_in(knit: Knit) -> list[str]:
    """Everything below the cache of environments, by its path there."""
    files, top, found = knit.connection.files, knit.connection.paths.envs, []
    for entry in files.list(top):
        found += [e.path[len(top) + 1 :] for e in files.list(entry.path)] if entry.is_dir else [entry.path]
    return [path for path in found if not path.endswith((".json", "/last-use"))]


def test_one_environment_on_both_nodes_and_the_second_start_moves_nothing(
    own: Knit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = pack(tmp_path, "dev", ballast=10_000_000)
    # Half a node each, of two nodes, one of which has the ApplicationMaster.
    own.start(["python", "-c", TELL], num_containers=3, memory="4 GiB", env=str(env))
    said = told(own)
    assert len({one["node"] for one in said}) == 2
    for one in said:
        assert one["words"] == "dev"
        assert one["told"].startswith(one["conda"])
        assert one["prefix"] == one["conda"] == f"{one['cwd']}/knit-env"
        assert one["bin"] == f"{one['conda']}/bin/python"
    put: list[str] = []
    original = ChosenFiles.put
    monkeypatch.setattr(ChosenFiles, "put", lambda self, *args: put.append(str(args[0])) or original(self, *args))
    own.start(["python", "-c", TELL], env=str(env))
    assert put == []
    assert [one["words"] for one in told(own)] == ["dev"]
    assert own.check_needs_upload(str(env)) is False
    (listed,) = own.list_envs()
    assert (listed["name"], listed["size"]) == ("dev", env.stat().st_size)
    # The URI is as good as the archive.
    own.start(["python", "-c", TELL], env=listed["uri"])
    assert [one["words"] for one in told(own)] == ["dev"]


def test_named_packages_are_built_once_and_run_on_both_nodes(
    own: Knit, cluster: LocalCluster, home: str, conda_channel: str
) -> None:
    """As Knit's users have always written it, with a channel of this machine's."""
    wanted: dict[str, Any] = {"packages": ["greet=2.0"], "channels": [conda_channel]}
    env = own.create_env("job", **wanted)
    assert Knit.create_env("job", **wanted) == env
    module = "import greet, os, sys; greet.main(); print(sys.prefix == os.environ['CONDA_PREFIX'])"
    own.start(f'python -c "{module}"; greet; words; echo $WORDS_HOME', num_containers=3, memory="4 GiB", env=env)
    assert own.wait_for_completion(timeout=120), own.logs()
    said = [files for files in own.logs().values() if files["service"] is not None]
    assert len({files["nodeId"] for files in said}) == 2
    for files in said:
        imported, in_place, entry_point, program, activated = str(files["stdout"]).splitlines()
        assert (imported, in_place, entry_point) == ("hello 2.0 with 2.0", "True", "hello 2.0 with 2.0")
        assert program.startswith("2.0 /")
        assert program.endswith("/knit-env")
        assert activated == f"{program.partition(' ')[2]}/share/words"
    own.start("greet", env=own.create_env("job", **wanted, format="zip"))
    assert own.wait_for_completion(timeout=120), own.logs()
    command = ("env", "build", "-p", "greet=2.0", "-c", conda_channel, "--name", "job", "--hdfs-home", home, "--json")
    made = json.loads(run({**os.environ, **cluster.env(), "HADOOP_USER_NAME": "alice"}, *command))
    assert made["uploaded"] is False
    assert made["uri"] in [listed["uri"] for listed in own.list_envs()]


def test_services_have_environments_of_their_own_and_nothing_in_them_changes(own: Knit, tmp_path: Path) -> None:
    script = f"$PYTHON_BIN - <<'E'\n{TELL}\nE\nfind knit-env/ -name __pycache__ -newer knit-run.sh >&2"
    services = {
        name: {"env": str(pack(tmp_path, name)), "script": script, "resources": {"memory": 128, "vcores": 1}}
        for name in ("first", "second")
    }
    own.submit({"name": "two", "services": services})
    assert {one["service"]: one["words"] for one in told(own)} == {"first": "first", "second": "second"}
    assert {str(f.get("stderr", "")).strip() for f in own.logs().values() if f["service"]} == {""}
    assert sorted(env["name"] for env in own.list_envs()) == ["first", "second"]


PUBLISH = """\
import os, sys, time
from knit_provider import Knit
from knit_provider.environments.cache import publish
from knit_provider.environments.provide import packed_archive
from knit_provider.yarn.files.transfer import Transfer

class Gate:
    def stage(self, name, total=None, *, unit="bytes"):
        return self
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    moved = 0
    def advance(self, amount=1):
        self.moved += amount
        if self.moved > 8_000_000 and not os.path.exists(sys.argv[4]):
            print("moving", flush=True)
            while not os.path.exists(sys.argv[4]):
                time.sleep(0.02)

knit = Knit(hadoop_conf_dir=sys.argv[1], hdfs_home=sys.argv[2], user="alice", bridge="rest")
print(publish(packed_archive(sys.argv[3]), knit.connection, progress=Gate()).uri, flush=True)
"""


@pytest.fixture
def publisher(cluster: LocalCluster, home: str, tmp_path: Path) -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start a process that publishes an archive and stops in the midst of it until the file ``gate`` is there."""
    running: list[subprocess.Popen[str]] = []

    def start(archive: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PUBLISH, str(cluster.conf_dir), home, str(archive), str(tmp_path / "gate")]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_publishers_end_with_one_copy_and_both_succeed(
    own: Knit, publisher: Callable[[Path], subprocess.Popen[str]], tmp_path: Path
) -> None:
    env = pack(tmp_path, "dev", ballast=20_000_000)
    both = [publisher(env), publisher(env)]
    assert [line_of(process) for process in both] == ["moving", "moving"]
    (tmp_path / "gate").touch()
    uris = {line_of(process) for process in both}
    assert [process.wait(60) for process in both] == [0, 0]
    (listed,) = own.list_envs()
    assert uris == {listed["uri"]}
    assert archives_in(own) == [listed["uri"].partition("/envs/")[2]]


def test_a_publisher_that_is_killed_leaves_nothing_that_looks_valid(
    own: Knit, publisher: Callable[[Path], subprocess.Popen[str]], tmp_path: Path
) -> None:
    env = pack(tmp_path, "dev", ballast=20_000_000)
    process = publisher(env)
    assert line_of(process) == "moving"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert own.list_envs() == []
    assert own.check_needs_upload(str(env)) is True
    files, paths = own.connection.files, own.connection.paths
    assert [path for path in archives_in(own) if ".tmp-" in path]
    published = publish(packed_archive(str(env)), own.connection)
    assert files.status(published.uri).length == env.stat().st_size  # type: ignore[union-attr]
    remove_unfinished(files, paths.envs, time.time() + 48 * HOUR)
    assert archives_in(own) == [published.uri.partition("/envs/")[2]]


def test_pruning_spares_what_runs(own: Knit, tmp_path: Path) -> None:
    def later() -> float:
        return time.time() + 5 * HOUR

    publish(packed_archive(str(pack(tmp_path, "idle"))), own.connection)
    app_id = own.start("sleep 300", env=str(pack(tmp_path, "running")))
    assert {env.name for env in prune(own.connection, 0).in_use} == {"idle", "running"}, "used just now"
    done = prune(own.connection, 0, now=later)
    assert ([e.name for e in done.removed], [e.name for e in done.in_use]) == (["idle"], ["running"])
    own.kill(app_id)
    eventually(lambda: [e.name for e in prune(own.connection, 0, now=later).removed] == ["running"])
    assert own.list_envs() == []


def test_a_public_one_is_readable_for_all_and_runs(own: Knit, make_knit: Callable[..., Knit], tmp_path: Path) -> None:
    env = pack(tmp_path, "shared")
    made = publish(packed_archive(str(env)), own.connection, public=True)
    bob = make_knit(user="bob")
    status = bob.connection.files.status(made.uri)
    assert status is not None
    assert is_public(bob.connection.files, status)
    with pytest.raises(PermissionDenied):
        bob.connection.files.list(own.connection.paths.base)
    bob.start(["python", "-c", TELL], env=made.uri)
    own.start(["python", "-c", TELL], env=str(env))
    assert [one["words"] for one in told(bob)] == [one["words"] for one in told(own)] == ["shared"]


def test_where_there_is_no_room_and_no_right_the_error_says_so_and_nothing_is_left(
    own: Knit, make_knit: Callable[..., Knit], home_with_quota: Callable[..., str], tmp_path: Path
) -> None:
    env = packed_archive(str(pack(tmp_path, "dev", ballast=1_000_000)))
    poor = make_knit(user=home_with_quota(storagespacequota=1_000_000))
    with pytest.raises(ConfigurationError, match="quota"):
        publish(env, poor.connection)
    assert poor.list_envs() == []
    assert [path for path in archives_in(poor) if ".tmp-" in path] == []
    with pytest.raises(PermissionDenied, match="carol"):
        publish(env, make_knit(user="carol", hdfs_home="/user/alice/carol").connection)


def test_the_command(cluster: LocalCluster, home: str, own: Knit, tmp_path: Path) -> None:
    environment = {**os.environ, **cluster.env(), "HADOOP_USER_NAME": "alice"}
    at = ("--hdfs-home", home)
    env = pack(tmp_path, "dev", ballast=10_000_000)
    uri = run(environment, "env", "build", str(env), *at, "--name", "R&D é").strip()
    assert uri.startswith(own.connection.paths.envs)
    assert json.loads(run(environment, "env", "build", str(env), *at, "--json"))["uploaded"] is False
    (listed,) = json.loads(run(environment, "env", "list", "--json", *at))
    assert (listed["name"], listed["uri"], listed["size"]) == ("R&D é", uri, env.stat().st_size)
    assert "1 stay" in run(environment, "env", "prune", "--keep", "1GiB", *at)
    (tmp_path / "bad.tar.gz").write_text("text")
    assert "no intact" in run(environment, "env", "build", str(tmp_path / "bad.tar.gz"), *at, code=64)
