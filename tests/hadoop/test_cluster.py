"""The embedded Hadoop itself, on real daemons: one cluster of the session's, and others beside it where need be."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest

from knit_provider import Knit
from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.jars import HADOOP_VERSIONS
from knit_provider.localcluster.launch import marker
from knit_provider.localcluster.leftovers import container_processes, leftovers, wait_for_rest
from knit_provider.localcluster.process import processes_with
from knit_provider.localcluster.pytest_plugin import fail_on_leftovers
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError

pytestmark = pytest.mark.hadoop

_KNIT = (sys.executable, "-c", "from knit_provider.cli.main import main; main(prog_name='knit')")


def knit(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    return subprocess.run([*_KNIT, *arguments], capture_output=True, text=True, env={**os.environ, **(env or {})})


def rm(cluster: LocalCluster, method: str, path: str, body: Any = None) -> Any:
    """Asks the ResourceManager as alice."""
    request = Request(
        f"http://{cluster.rm_web}/ws/v1/cluster/{path}?user.name=alice",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=20) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def submit(cluster: LocalCluster, command: str) -> str:
    """Runs a command in the container of an application master, as alice."""
    app = rm(cluster, "POST", "apps/new-application", {})["application-id"]
    rm(
        cluster,
        "POST",
        "apps",
        {
            "application-id": app,
            "application-name": "a test of the cluster",
            "application-type": "test",
            "am-container-spec": {"commands": {"command": f"{command} 1><LOG_DIR>/stdout 2><LOG_DIR>/stderr"}},
            "resource": {"memory": 128, "vCores": 1},
            "max-app-attempts": 1,
        },
    )
    return str(app)


def app_state(cluster: LocalCluster, app: str) -> str:
    return str(rm(cluster, "GET", f"apps/{app}")["app"]["state"])


def kill(cluster: LocalCluster, app: str) -> None:
    rm(cluster, "PUT", f"apps/{app}/state", {"state": "KILLED"})
    until(lambda: app_state(cluster, app) in ("KILLED", "FAILED", "FINISHED"))


def until(condition: Callable[[], Any], seconds: float = 300.0) -> Any:
    """Waits until a condition holds; the limit is only there to end a test that hangs."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return found


def containers_of(cluster: LocalCluster, app: str) -> dict[int, str]:
    """The processes of an application's containers, with their commands' names."""
    part = app.removeprefix("application_")
    found = {}
    for process, container in container_processes(cluster.directory).items():
        if part in container:
            with contextlib.suppress(psutil.Error):
                found[process.pid] = psutil.Process(process.pid).name()
    return found


def sleeping(cluster: LocalCluster, app: str) -> list[int]:
    """Those of them that do what ``submit(cluster, "sleep 600")`` asked for."""
    return [pid for pid, name in containers_of(cluster, app).items() if name == "sleep"]


def run(cluster: LocalCluster, *command: str, user: str = "alice") -> str:
    """Runs one of the cluster's own commands."""
    env = {"PATH": f"{cluster.hadoop_home}/bin:{os.environ['PATH']}", "HADOOP_USER_NAME": user}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listening(cluster: LocalCluster) -> list[str]:
    """Which of the cluster's addresses somebody listens on."""
    found = []
    for daemon in cluster.daemons.values():
        for address in daemon.addresses.values():
            host, _, port = address.rpartition(":")
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    found.append(address)
    return found


def processes_of(directory: Path) -> list[int]:
    """All processes that belong to the cluster in a folder: daemons, guards, containers."""
    found = [process.pid for process in (*processes_with(marker(directory)), *container_processes(directory))]
    for process in psutil.process_iter():
        try:
            if "knit_provider.localcluster.guard" in process.cmdline() and str(directory) in process.cmdline():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for one more cluster, which is gone after the test whatever the test did."""
    directory = tmp_path / "cluster"
    yield directory
    LocalCluster(directory).down(delete=True)


# --- the session's cluster ---------------------------------------------------------------------------------------


def test_commands_of_hadoop_work(cluster: LocalCluster, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("one two\n")
    classpath = f"{cluster.conf_dir}:{cluster.hadoop_home}/share/hadoop/common/*"
    for command in ("hadoop", "yarn", "hdfs", "mapred"):
        assert run(cluster, command, "classpath").strip() == classpath
    entries = run(cluster, "yarn", "classpath", "--glob").strip().split(":")
    assert entries[0] == str(cluster.conf_dir)
    assert len(entries) > 100
    run(cluster, "hadoop", "fs", "-put", "-f", str(words), "words.txt")
    assert run(cluster, "hdfs", "dfs", "-cat", "/user/alice/words.txt") == "one two\n"
    run(cluster, "hdfs", "dfs", "-rm", "-skipTrash", "words.txt")
    unknown = subprocess.run([cluster.hadoop_home / "bin" / "hadoop", "nonsense"], capture_output=True, text=True)
    assert unknown.returncode == 2
    assert "nonsense" in unknown.stderr


def test_homes_are_private_and_tmp_is_everybodys(cluster: LocalCluster) -> None:
    listing = run(cluster, "hadoop", "fs", "-ls", "-d", "/user/alice", "/user/bob", "/tmp", "/tmp/logs")
    modes = {line.split()[-1]: line.split()[0] + " " + line.split()[2] for line in listing.splitlines()}
    assert modes["/user/alice"] == "drwx------ alice"
    assert modes["/user/bob"] == "drwx------ bob"
    assert modes["/tmp"].startswith("drwxrwxrwt")
    assert modes["/tmp/logs"].startswith("drwxrwxrwt")


def test_nothing_listens_beyond_loopback(cluster: LocalCluster) -> None:
    heard = set()
    for daemon in cluster.daemons.values():
        for connection in psutil.Process(daemon.pid).net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                heard.add(connection.laddr.ip)
    assert heard == {"127.0.0.1"}


def test_mapreduce_runs_and_its_logs_are_aggregated(cluster: LocalCluster) -> None:
    """The whole of YARN at once: `hadoop jar`, an AM with the cluster's class path, history, aggregation."""
    # Any jar that names no main class of its own does; the job is among the cluster's jars.
    jar = next((cluster.hadoop_home / "share/hadoop/common").glob("hadoop-mapreduce-client-core-*.jar"))
    job = ("org.apache.hadoop.mapreduce.SleepJob", "-m", "1", "-r", "1", "-mt", "1", "-rt", "1")
    run(cluster, "hadoop", "jar", str(jar), *job)
    jobs = until(lambda: json.load(urlopen(f"http://{cluster.history_web}/ws/v1/history/mapreduce/jobs"))["jobs"])[
        "job"
    ]
    if isinstance(jobs, dict):  # as Hadoop 3.5 has a list of one
        jobs = [jobs]
    assert [job["state"] for job in jobs] == ["SUCCEEDED"] * len(jobs)
    app = jobs[-1]["id"].replace("job", "application")
    logs = until(lambda: _logs(cluster, app))
    assert "Container: container_" in logs


def _logs(cluster: LocalCluster, app: str) -> str:
    env = {"PATH": f"{cluster.hadoop_home}/bin:{os.environ['PATH']}", "HADOOP_USER_NAME": "alice"}
    return subprocess.run(["yarn", "logs", "-applicationId", app], env=env, capture_output=True, text=True).stdout


def test_containers_get_the_nodes_environment_and_no_more(cluster: LocalCluster) -> None:
    app = submit(cluster, "bash -c 'echo home=$HADOOP_HOME conf=$HADOOP_CONF_DIR java=$JAVA_HOME; env'")
    until(
        lambda: app_state(cluster, app) == "FAILED"
    )  # it never registered, which is all that this ApplicationMaster is
    logs = until(lambda: _logs(cluster, app))
    assert f"home={cluster.hadoop_home} conf={cluster.conf_dir} java={cluster.env()['JAVA_HOME']}" in logs
    assert "VIRTUAL_ENV" not in logs


@pytest.mark.parametrize("name", ["namenode", "datanode", "nodemanager-1", "historyserver"])
def test_a_daemon_that_is_killed_starts_again_on_its_ports(cluster: LocalCluster, name: str) -> None:
    daemon = cluster.daemons[name]
    before = dict(daemon.addresses)
    pid = daemon.pid
    daemon.kill()
    assert not daemon.alive
    assert daemon.exit_code in (-signal.SIGKILL, None)  # None: a cluster that was up before the tests
    daemon.start()
    cluster.wait_ready()
    assert daemon.alive
    assert daemon.pid != pid
    assert daemon.addresses == before
    assert cluster.status().is_up
    with pytest.raises(ClusterUnavailable, match="runs already"):
        daemon.start()


def test_a_resourcemanager_that_is_killed_keeps_its_applications_and_they_keep_running(cluster: LocalCluster) -> None:
    app = submit(cluster, "sleep 600")
    pids = until(lambda: sleeping(cluster, app))
    cluster.daemons["resourcemanager"].kill()
    cluster.daemons["resourcemanager"].start()
    cluster.wait_ready()
    assert app_state(cluster, app) in ("ACCEPTED", "RUNNING")
    assert sleeping(cluster, app) == pids
    kill(cluster, app)
    until(lambda: not containers_of(cluster, app))


def test_status_shows_what_died_and_up_repairs_it(cluster: LocalCluster) -> None:
    at = ("--directory", str(cluster.directory))
    others = {name: daemon.pid for name, daemon in cluster.daemons.items() if name != "datanode"}
    cluster.daemons["datanode"].kill()
    done = knit("cluster", "status", *at)
    assert done.returncode == 69
    assert "degraded" in done.stdout
    assert f"DataNode died; its log is {cluster.daemons['datanode'].log}" in done.stdout
    assert "knit cluster up" in done.stdout
    found = json.loads(knit("cluster", "status", "--json", *at).stdout)
    assert {daemon["name"] for daemon in found["daemons"] if daemon["state"] == "dead"} == {"datanode"}

    # Something sits on one of its ports.
    host, _, port = cluster.daemons["datanode"].addresses["dfs.datanode.ipc.address"].rpartition(":")
    with socket.socket() as obstacle:
        obstacle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        obstacle.bind((host, int(port)))
        obstacle.listen()
        done = knit("cluster", "up", *at)
    assert done.returncode == 64
    assert f"DataNode's dfs.datanode.ipc.address is {host}:{port}, and process {os.getpid()} " in done.stderr

    done = knit("cluster", "up", *at)
    assert done.returncode == 0, done.stderr
    status = cluster.status()
    assert status.is_up
    assert {name: daemon.pid for name, daemon in cluster.daemons.items() if name != "datanode"} == others

    done = knit("cluster", "up", *at)
    assert done.returncode == 0
    assert "is up already" in done.stdout
    done = knit("cluster", "up", "--nodes", "5", *at)
    assert done.returncode == 64
    assert f"with nodes {len(cluster.nodes)}, not 5" in done.stderr


def test_env_can_be_evaluated(cluster: LocalCluster) -> None:
    script = f'eval "$({" ".join(map(_quoted, _KNIT))} cluster env -d {cluster.directory})"; command -v hadoop; env'
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HADOOP_")}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=clean)
    lines = done.stdout.splitlines()
    assert lines[0] == str(cluster.hadoop_home / "bin" / "hadoop")
    for name, value in cluster.env().items():
        assert f"{name}={value}" in lines


def _quoted(word: str) -> str:
    return '"' + word + '"'


def test_leftovers_are_found_and_fail_the_session(cluster: LocalCluster) -> None:
    assert wait_for_rest(cluster.plan) == []
    app = submit(cluster, "sleep 600")
    until(lambda: sleeping(cluster, app))
    staging = f"/user/alice/.knitDeps/apps/somewhere/{app}"
    run(cluster, "hadoop", "fs", "-mkdir", "-p", staging)
    lines = leftovers(cluster.plan)
    assert any(app in line and "alice" in line for line in lines)
    assert any(line.startswith(f"process {pid} ") for pid in containers_of(cluster, app) for line in lines)
    assert f"staging folder {staging} is in HDFS" in lines
    with pytest.raises(pytest.fail.Exception, match=app):
        fail_on_leftovers(cluster, seconds=0)
    kill(cluster, app)
    run(cluster, "hadoop", "fs", "-rm", "-r", "-skipTrash", "/user/alice/.knitDeps/apps/somewhere")
    fail_on_leftovers(cluster)


# --- clusters of a test's own ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster of the other Hadoop version beside the session's, brought up in an odd environment."""
    directory = tmp_path_factory.mktemp("second") / "cluster"
    version = next(version for version in HADOOP_VERSIONS if version != cluster.hadoop_version)
    noise = {"HADOOP_CONF_DIR": "/nonexistent", "HADOOP_HOME": "/nonexistent", "HADOOP_OPTS": "-Dx=y", "CLASSPATH": "x"}
    done = knit("cluster", "up", "--nodes", "1", "--hadoop-version", version, "-d", str(directory), env=noise)
    assert done.returncode == 0, done.stderr
    assert "NameNode: ready" in done.stderr  # plain lines, as stderr is no terminal
    yield LocalCluster(directory)
    LocalCluster(directory).down(delete=True)


def test_a_second_cluster_lives_beside_the_first(cluster: LocalCluster, second: LocalCluster) -> None:
    assert cluster.status().is_up
    assert second.status().is_up
    mine = {address for daemon in cluster.daemons.values() for address in daemon.addresses.values()}
    its = {address for daemon in second.daemons.values() for address in daemon.addresses.values()}
    assert not mine & its


def test_nothing_of_the_callers_environment_leaks_into_daemons(second: LocalCluster) -> None:
    for daemon in second.daemons.values():
        environment = psutil.Process(daemon.pid).environ()
        assert environment["HADOOP_CONF_DIR"] == str(second.conf_dir)
        assert "nonexistent" not in str(environment)
        assert not {"CLASSPATH", "HADOOP_OPTS", "VIRTUAL_ENV", "PYTHONPATH"} & set(environment)


def test_the_other_version_of_hadoop_runs_applications(second: LocalCluster) -> None:
    assert rm(second, "GET", "info")["clusterInfo"]["hadoopVersion"] == second.hadoop_version
    app = submit(second, "echo hello")
    until(lambda: app_state(second, app) == "FAILED")
    assert "hello" in until(lambda: _logs(second, app))


def test_our_jar_runs_on_the_other_version(second: LocalCluster, marker: str) -> None:
    """The gateway with its client classes, and the ApplicationMaster with its nodes' classes."""
    with Knit(user="alice", hadoop_conf_dir=str(second.conf_dir), hadoop_home=str(second.hadoop_home)) as k:
        app_id = k.start(f"echo {marker}; [ $KNIT_INDEX = 0 ] || sleep 300", num_containers=2, memory=256)
        assert k.connection.bridge.hello()["hadoop"] == second.hadoop_version
        app = k.application(app_id)
        until(lambda: app.services()["default"]["running"] == 1 and app.services()["default"]["succeeded"] == 1)
        assert len([c for c in k.get_containers() if c["service"]]) == 1
        until(lambda: sum(marker in str(f.get("stdout", "")) for f in k.logs().values()) == 2)
        k.remove_containers([c["id"] for c in k.get_containers() if c["service"]])
        assert app.wait(90).succeeded
        assert sum(marker in str(f.get("stdout", "")) for f in k.logs().values()) == 2


def test_a_node_can_be_added(second: LocalCluster) -> None:
    added = second.add_node()
    assert added.name == "nodemanager-2"
    assert [node.name for node in LocalCluster(second.directory).nodes] == ["nodemanager-1", "nodemanager-2"]
    assert len(rm(second, "GET", "nodes")["nodes"]["node"]) == 2


def test_down_leaves_no_process_and_no_port_and_keeps_hdfs(cluster: LocalCluster, second: LocalCluster) -> None:
    folder = second.directory
    at = ("--directory", str(folder))
    # Containers that nobody looks after, one of their processes with an environment that tells nothing.
    apps = [submit(second, "bash -c 'env -i sleep 600'") for _ in range(2)]
    until(lambda: all(sleeping(second, app) for app in apps))
    for node in second.nodes:
        node.kill()
    assert all(sleeping(second, app) for app in apps)
    run(second, "hadoop", "fs", "-touchz", "/user/alice/kept")

    assert knit("cluster", "down", *at).returncode == 0
    assert processes_of(folder) == []
    assert listening(second) == []
    assert second.status().state == "down"
    assert knit("cluster", "status", *at).returncode == 69
    assert knit("cluster", "env", *at).returncode == 69
    again = knit("cluster", "down", *at)
    assert again.returncode == 0
    assert "was down" in again.stdout
    assert cluster.status().is_up

    other_version = LocalCluster(folder, hadoop_version=cluster.hadoop_version)
    with pytest.raises(
        ConfigurationError, match=f"made by Hadoop {second.hadoop_version}; {cluster.hadoop_version} cannot"
    ):
        other_version.up()

    # Up again: the same ports and files. The end of the process that it is tied to, by SIGKILL here, ends it.
    child = subprocess.Popen([sys.executable, "-c", _TIED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "up"
    revived = LocalCluster(folder)
    assert revived.rm_web == second.rm_web
    assert "kept" in run(revived, "hadoop", "fs", "-ls", "/user/alice")
    child.kill()
    child.communicate()
    until(lambda: not processes_of(folder))
    assert listening(second) == []
    until(lambda: not folder.exists())


_TIED = """
import sys, time
from knit_provider.localcluster import LocalCluster
with LocalCluster(sys.argv[1], temporary=True):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_up_that_is_cut_short_leaves_nothing(folder: Path, signum: signal.Signals) -> None:
    up = subprocess.Popen([*_KNIT, "cluster", "up", "-d", str(folder)], stderr=subprocess.PIPE, text=True)
    until(lambda: len(list(processes_with(marker(folder)))) >= 5)
    up.send_signal(signum)
    _, told = up.communicate()
    until(lambda: not processes_of(folder))
    assert LocalCluster(folder).status().state == "down"
    if signum != signal.SIGKILL:
        assert up.returncode == 130
        assert "interrupted" in told


def test_a_daemon_that_does_not_start_is_named_with_its_log(folder: Path) -> None:
    broken = LocalCluster(folder, overrides={"yarn.resourcemanager.scheduler.class": "no.such.Scheduler"})
    with pytest.raises(ClusterUnavailable, match=r"ResourceManager ended with exit code \d+ while") as error:
        broken.up()
    assert "no.such.Scheduler" in str(error.value)
    assert str(folder / "logs" / "resourcemanager.log") in str(error.value)
    assert processes_of(folder) == []


def test_a_daemon_that_takes_too_long_is_named(folder: Path) -> None:
    with pytest.raises(ClusterUnavailable, match=r"was not ready within 1 s"):
        LocalCluster(folder, timeout=1).up()
    assert processes_of(folder) == []


def test_a_port_in_the_way_is_named_with_its_owner(folder: Path) -> None:
    with socket.socket() as obstacle:
        obstacle.bind(("127.0.0.1", 0))
        obstacle.listen()
        address = f"127.0.0.1:{obstacle.getsockname()[1]}"
        done = knit("cluster", "up", "-d", str(folder), "-D", f"dfs.namenode.http-address={address}")
    assert done.returncode == 64
    assert f"NameNode's dfs.namenode.http-address is {address}, and process {os.getpid()} " in done.stderr
    assert processes_of(folder) == []


def test_a_port_that_is_taken_at_the_last_moment_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knit_provider.localcluster.startup.obstacle", lambda *_: None)  # the moment has passed
    with socket.socket() as obstacle:
        obstacle.bind(("127.0.0.1", 0))
        obstacle.listen()
        address = f"127.0.0.1:{obstacle.getsockname()[1]}"
        late = LocalCluster(folder, overrides={"dfs.datanode.http.address": address})
        with pytest.raises(ClusterUnavailable, match="DataNode ended") as error:
            late.up()
    assert "A port is in the way" in str(error.value)
    assert address in str(error.value)
    assert processes_of(folder) == []


def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = (
        os.getuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", small]).returncode == 0
    )
    if not mounted:  # only root can have a small disk; others get a made-up figure
        monkeypatch.setattr("knit_provider.localcluster.disk.free_bytes", lambda _: 64 * 2**20)
    try:
        with pytest.raises(ConfigurationError, match=r"needs 1024 MiB and 6\d MiB are free") as error:
            LocalCluster(small / "cluster").up()
        assert str(small / "cluster") in str(error.value)
        assert processes_of(small / "cluster") == []
    finally:
        if mounted:
            subprocess.run(["umount", small], check=True)
