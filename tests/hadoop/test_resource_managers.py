"""Two real ResourceManagers, of which one at most is active. They need no HDFS, no nodes and no ZooKeeper."""

from __future__ import annotations

import getpass
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.localcluster.ports import PortPool
from knit_provider.yarn.checks import Requirements, run_checks
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import (
    ApplicationNotFound,
    CheckFailed,
    ClusterUnavailable,
    KnitError,
    PermissionDenied,
)
from knit_provider.yarn.rest.yarn_api import YARNAPI

from .support import until

IDS = ("rm1", "rm2")
ADDRESSES = ("address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address")
QUEUES = {
    "yarn.scheduler.capacity.root.queues": "default,closed",
    "yarn.scheduler.capacity.root.default.capacity": "50",
    "yarn.scheduler.capacity.root.closed.capacity": "50",
    # Rights are handed down, so the root must not give them to everybody.
    "yarn.scheduler.capacity.root.acl_submit_applications": " ",
    "yarn.scheduler.capacity.root.acl_administer_queue": " ",
    "yarn.scheduler.capacity.root.default.acl_submit_applications": "*",
    "yarn.scheduler.capacity.root.closed.acl_submit_applications": "bob",
}


class Pair:
    """The two daemons, each with a configuration directory of its own."""

    def __init__(self, cluster: LocalCluster, folder: Path) -> None:
        self.yarn = f"{cluster.hadoop_home}/bin/yarn"
        self.env = cluster.env()
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        with PortPool() as ports:
            common = {
                "yarn.resourcemanager.ha.enabled": "true",
                "yarn.resourcemanager.ha.rm-ids": ",".join(IDS),
                "yarn.resourcemanager.cluster-id": "twins",
                "yarn.resourcemanager.ha.automatic-failover.enabled": "false",
                "yarn.resourcemanager.recovery.enabled": "false",
                "yarn.acl.enable": "true",
                "yarn.admin.acl": getpass.getuser(),
            }
            for rm_id in IDS:
                common[f"yarn.resourcemanager.hostname.{rm_id}"] = "127.0.0.1"
                for name in ADDRESSES:
                    common[f"yarn.resourcemanager.{name}.{rm_id}"] = f"127.0.0.1:{ports.pick()}"
        for rm_id in IDS:
            directory = self.conf_dir(rm_id)
            directory.mkdir(parents=True)
            own = {"yarn.resourcemanager.ha.id": rm_id, "hadoop.tmp.dir": str(folder / f"{rm_id}-tmp")}
            _write(directory / "yarn-site.xml", common | own)
            _write(directory / "core-site.xml", {"hadoop.tmp.dir": str(folder / f"{rm_id}-tmp")})
            _write(directory / "capacity-scheduler.xml", QUEUES)

    def conf_dir(self, rm_id: str) -> Path:
        return self.folder / rm_id

    def start(self, rm_id: str) -> None:
        main_class = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"
        with (self.folder / f"{rm_id}.log").open("ab") as log:
            self.processes[rm_id] = subprocess.Popen(
                [self.yarn, "--config", str(self.conf_dir(rm_id)), main_class],
                env=self.env | {"HADOOP_OPTS": "-Xmx256m"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, rm_id: str, signum: int = signal.SIGKILL) -> None:
        process = self.processes.pop(rm_id, None)
        if process is not None:
            process.send_signal(signum)
            process.wait(30)

    def activate(self, rm_id: str) -> None:
        done = subprocess.run(
            [
                self.yarn,
                "--config",
                str(self.conf_dir(rm_id)),
                "rmadmin",
                "-transitionToActive",
                "--forceactive",
                rm_id,
            ],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr

    def api(self, user: str = "alice", timeout: float | None = None, **kwargs: object) -> YARNAPI:
        conf = HadoopConf.load(hadoop_conf_dir=self.conf_dir("rm1"), **kwargs)  # type: ignore[arg-type]
        return YARNAPI(conf=conf, user=user, timeout=timeout)


def _write(path: Path, properties: dict[str, str]) -> None:
    body = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in properties.items())
    path.write_text(f"<configuration>{body}</configuration>")


@pytest.fixture(scope="module")
def pair(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(cluster, tmp_path_factory.mktemp("twins"))
    try:
        for rm_id in IDS:
            made.start(rm_id)
        api = made.api()
        until(lambda: all(state in ("ACTIVE", "STANDBY") for state in api.ha_state().values()), "two daemons", 180)
        yield made
    finally:
        for rm_id in IDS:
            made.stop(rm_id)


def test_a_takeover_from_beginning_to_end(pair: Pair) -> None:
    """One story, because each step needs the one before it."""
    api = pair.api()
    # One that does not wait for a takeover which nobody is to bring about.
    hasty = pair.api(timeout=5)
    first, second = api.session.addresses

    # Nobody is active: the redirect leads nowhere.
    assert api.ha_state() == {first: "STANDBY", second: "STANDBY"}
    with pytest.raises(ClusterUnavailable, match=r"no active ResourceManager.*is a standby and knows no active one"):
        hasty.cluster_metrics()

    # The second is: the first redirects to it.
    pair.activate("rm2")
    assert api.cluster_metrics()["totalNodes"] == 0
    assert api.session.active_address == second
    assert api.ha_state() == {first: "STANDBY", second: "ACTIVE"}
    assert api.cluster_info()["haState"] == "ACTIVE"
    assert pair.api().session.request("POST", "cluster/apps/new-application").json()["application-id"]
    with pytest.raises(ApplicationNotFound):
        pair.api().state("application_1_0001")

    # Who asks the standby alone is told where the active one is, and not led there.
    alone = pair.api(rm_addresses=[first])
    with pytest.raises(ClusterUnavailable, match=f"standby and names .*:{second.rpartition(':')[2]} as the active one"):
        alone.cluster_metrics()

    # All of them call the cluster by one name, whomever they ask.
    assert {api.rm_identity(), alone.rm_identity(), pair.api(rm_addresses=[second]).rm_identity()} == {"twins"}

    # The active one dies; the first takes over, and the same object goes on.
    pair.stop("rm2")
    with pytest.raises(KnitError, match=f"{second} refused"):
        hasty.cluster_metrics()
    pair.activate("rm1")
    assert api.cluster_metrics()["totalNodes"] == 0
    assert api.session.active_address == first
    assert "refused" in api.ha_state()[second]


class TestRights:
    """They need a cluster that enforces them, which the shared one does not."""

    @pytest.fixture(autouse=True)
    def active(self, pair: Pair) -> None:
        if "ACTIVE" not in pair.api().ha_state().values():
            pair.activate("rm1")

    def test_a_queue_that_the_user_may_not_use_is_refused(self, pair: Pair) -> None:
        api = pair.api("alice")
        assert (api.may_submit("closed"), api.may_submit("default")) == (False, True)
        need = Requirements(queue="closed", am={"memory-mb": 128, "vcores": 1}, user="alice")
        with pytest.raises(CheckFailed, match=r"user alice may not submit to the queue 'closed'.*default"):
            run_checks(need, api)
        assert run_checks(replace(need, user="bob"), pair.api("bob")) == [
            "the cluster has no running node now; the application waits until there is one"
        ]

    def test_somebody_elses_application_cannot_be_killed(self, pair: Pair) -> None:
        alice, bob = pair.api("alice"), pair.api("bob")
        app_id = alice.session.request("POST", "cluster/apps/new-application").json()["application-id"]
        alice.session.request(
            "POST",
            "cluster/apps",
            json={
                "application-id": app_id,
                "application-name": "test",
                "application-type": "knit",
                "resource": {"memory": 128, "vCores": 1},
                "am-container-spec": {"commands": {"command": "true"}},
            },
            ok=(202,),
        )
        with pytest.raises(PermissionDenied, match=f"user bob may not do this.*{app_id}"):
            bob.kill(app_id)
        assert bob.kill_all(knit_only=False) == []
        assert alice.state(app_id) not in ("KILLED", "FAILED")
        assert alice.kill_all() == [app_id]
