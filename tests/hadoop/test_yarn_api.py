"""YARNAPI and the NodeManagers' REST interface, on a real cluster."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable, Iterator

import psutil
import pytest

from knit_provider.localcluster import LocalCluster
from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ApplicationNotFound, ClusterUnavailable, ConfigurationError, KnitError
from knit_provider.yarn.rest.nodemanager import NodeManager
from knit_provider.yarn.rest.yarn_api import YARNAPI

from .support import api_of, session_of, submit_shell, until

Start = Callable[..., str]


@pytest.fixture(scope="module")
def api(cluster: LocalCluster) -> Iterator[YARNAPI]:
    made = api_of(cluster)
    yield made
    made.session.close()


@pytest.fixture
def start(cluster: LocalCluster, api: YARNAPI) -> Iterator[Start]:
    """Starts applications and kills them at the test's end."""
    started: list[tuple[str, str]] = []

    def make(command: str = "sleep 600", user: str = "alice", **kwargs: object) -> str:
        started.append((submit_shell(cluster, command, user, **kwargs), user))  # type: ignore[arg-type]
        return started[-1][0]

    yield make
    for app_id, user in started:
        api_of(cluster, user).kill(app_id)


@pytest.fixture
def running(start: Start, api: YARNAPI) -> tuple[str, dict]:
    """An application with a running container, and that container."""
    app_id = start()
    return app_id, container_of(api, app_id)


def container_of(api: YARNAPI, app_id: str) -> dict:
    def find() -> dict | None:
        # The ResourceManager calls it running a moment before its node knows of it; the user is what the node adds.
        return next((c for c in api.app_containers(app_id) if c["state"] == "RUNNING" and "user" in c), None)

    return until(find, f"a running container of {app_id}")


class TestConnecting:
    def test_by_host_and_port_as_knit_did(self, cluster: LocalCluster) -> None:
        host, port = cluster.rm_web.split(":")
        api = YARNAPI(host, int(port), username="alice")
        assert api.cluster_info()["state"] == "STARTED"
        assert (api.rm, api.rm_port, api.scheme, api.username) == (host, int(port), "http", "alice")
        assert api.url == f"http://{cluster.rm_web}/ws/v1/"

    def test_nothing_at_the_port(self, cluster: LocalCluster, free_tcp_port: int) -> None:
        with pytest.raises(ClusterUnavailable, match=f"127.0.0.1:{free_tcp_port} refused the connection"):
            YARNAPI("127.0.0.1", free_tcp_port).cluster_metrics()

    def test_an_rpc_port_in_place_of_the_web_port(self, cluster: LocalCluster) -> None:
        """Hadoop's RPC ports answer HTTP with a hint in plain text."""
        conf = HadoopConf.load(hadoop_conf_dir=cluster.conf_dir)
        host, port = conf["yarn.resourcemanager.address"].split(":")
        with pytest.raises(ClusterUnavailable, match="Hadoop IPC port"):
            YARNAPI(host, int(port)).cluster_metrics()

    def test_another_daemons_web_port(self, cluster: LocalCluster) -> None:
        host, port = cluster.namenode_web.split(":")
        with pytest.raises(ClusterUnavailable, match="web port of a ResourceManager"):
            YARNAPI(host, int(port)).cluster_metrics()

    def test_https_where_http_is_spoken(self, cluster: LocalCluster) -> None:
        host, port = cluster.rm_web.split(":")
        with pytest.raises(ClusterUnavailable, match="TLS"):
            YARNAPI(host, int(port), scheme="https").cluster_metrics()

    def test_the_interface_behind_both_forms_of_a_gateways_path(self, cluster: LocalCluster) -> None:
        """The ResourceManager itself serves as a gateway that keeps /ws/v1."""
        host, port = cluster.rm_web.split(":")
        assert YARNAPI(host, int(port), gateway_path="/ws/v1").cluster_metrics()["totalNodes"]


class TestTheCluster:
    def test_what_it_says_of_itself(self, cluster: LocalCluster, api: YARNAPI) -> None:
        assert api.cluster_info()["haState"] == "ACTIVE"
        assert api.ha_state() == {f"http://{cluster.rm_web}": "ACTIVE"}
        assert api.cluster_metrics()["activeNodes"] == len(api.nodes())
        assert {node["state"] for node in api.nodes()} == {"RUNNING"}
        assert api.scheduler()["schedulerInfo"]["type"] == "capacityScheduler"
        assert {item["state"] for item in api.app_stats()["statItem"]} >= {"RUNNING", "FINISHED"}

    def test_its_queues(self, api: YARNAPI) -> None:
        by_path = {queue.path: queue for queue in api.queues()}
        assert by_path["root.default"].leaf
        assert not by_path["root"].leaf
        assert by_path["root.default"].state == "RUNNING"
        assert by_path["root.stopped"].state == "STOPPED"
        assert api.queue("default") == api.queue("root.default") == by_path["root.default"]
        assert api.queue("nowhere") is None
        assert api.may_submit("default") is True

    def test_its_largest_container(self, cluster: LocalCluster, api: YARNAPI) -> None:
        conf = HadoopConf.load(hadoop_conf_dir=cluster.conf_dir)
        limits = api.max_allocation("default")
        assert limits["memory-mb"] == conf.get_int("yarn.scheduler.maximum-allocation-mb")
        assert limits["vcores"] == conf.get_int("yarn.scheduler.maximum-allocation-vcores")
        assert api.max_allocation() == limits

    def test_its_configuration_completes_a_client_that_has_no_files(self, cluster: LocalCluster) -> None:
        host, port = cluster.rm_web.split(":")
        bare = HadoopConf.load(autodetect=False, environ={}, rm=host, rm_port=int(port), user="alice")
        api = YARNAPI(conf=bare)
        full = bare.with_cluster(api.cluster_conf())
        filed = HadoopConf.load(hadoop_conf_dir=cluster.conf_dir)
        assert full.default_fs == filed.default_fs
        assert full["yarn.resourcemanager.address"].endswith(filed["yarn.resourcemanager.address"].rpartition(":")[2])
        assert full["yarn.application.classpath"] == filed["yarn.application.classpath"]
        assert len(api.cluster_conf(defaults=True)) > len(api.cluster_conf())

    def test_its_name_is_the_same_for_every_client(self, cluster: LocalCluster) -> None:
        host, port = cluster.rm_web.split(":")
        names = {
            api_of(cluster, "alice").rm_identity(),
            api_of(cluster, "bob").rm_identity(),
            YARNAPI(host, int(port)).rm_identity(),
            YARNAPI("localhost", int(port)).rm_identity(),
        }
        assert len(names) == 1
        assert HadoopConf.load(hadoop_conf_dir=cluster.conf_dir)["yarn.resourcemanager.address"].split(":")[1] in (
            names.pop()
        )

    def test_its_daemons_logs_are_found_on_this_machine(self, cluster: LocalCluster, api: YARNAPI) -> None:
        found = api.system_logs()
        assert found["on_rm"] is True
        assert found["single_node"] is (len(cluster.nodes) == 1)
        assert found["rm_logfile"] == str(cluster.daemons["resourcemanager"].log)
        assert found["rm_proc"].pid == cluster.daemons["resourcemanager"].pid
        assert str(cluster.daemons["nodemanager-1"].log) in found["nm_logfiles"]


class TestApplications:
    def test_a_running_one_is_described(self, running: tuple[str, dict], api: YARNAPI) -> None:
        app_id, _ = running
        assert app_id in api.apps
        status = api.status(app_id)
        assert status == {**status, "id": app_id, "user": "alice", "name": "test", "finalStatus": "UNDEFINED"}
        assert api.apps_info(app_id)["id"] == app_id
        assert app_id in [app["id"] for app in api.apps_info()]
        assert api.state(app_id) in ("ACCEPTED", "RUNNING")
        attempts = api.app_attempts(app_id)
        assert [attempt["id"] for attempt in attempts] == [1]
        assert attempts[0]["containerId"].endswith("_01_000001")

    def test_they_are_found_by_what_they_are(self, start: Start, api: YARNAPI, marker: str) -> None:
        mine = start(tags=[marker, "shared"], app_type="one")
        others = start(user="bob", tags=[f"{marker}-2", "shared"], app_type="two")

        def ids(**kwargs: object) -> set[str]:
            return {app["id"] for app in api.find(**kwargs)} & {mine, others}  # type: ignore[arg-type]

        assert ids(tags=[marker]) == {mine}
        assert ids(tags=[marker, f"{marker}-2"]) == {mine, others}
        assert ids(tags=["nobody-has-this"]) == set()
        assert ids(user="bob", tags=["shared"]) == {others}
        assert ids(types=["ONE"], tags=["shared"]) == {mine}
        assert ids(states=["KILLED"]) == set()
        assert len(api.find(limit=1)) == 1
        with pytest.raises(ConfigurationError, match="NOWHERE"):
            api.find(states=["NOWHERE"])
        with pytest.raises(ConfigurationError, match="list of strings"):
            api.find(tags="one")

    @pytest.mark.parametrize("method", ["status", "state", "app_attempts", "app_containers", "kill", "app_timeouts"])
    def test_an_unknown_one_is_not_found(self, api: YARNAPI, method: str) -> None:
        with pytest.raises(ApplicationNotFound, match="application_1_0001"):
            getattr(api, method)("application_1_0001")

    @pytest.mark.parametrize("app_id", ["", "foo", "application_1", None, 7, "application_1_1/../..", "job_1_0001"])
    def test_what_is_no_id_is_refused(self, api: YARNAPI, app_id: object) -> None:
        with pytest.raises(ConfigurationError, match="application id"):
            api.status(app_id)  # type: ignore[arg-type]

    def test_its_lifetime_can_be_changed(self, running: tuple[str, dict], api: YARNAPI) -> None:
        app_id, _ = running
        assert api.app_timeouts(app_id)["LIFETIME"]["expiryTime"] == "UNLIMITED"
        assert 3500 < api.update_lifetime(app_id, 3600)["remainingTimeInSeconds"] <= 3600
        assert 3500 < api.app_timeouts(app_id)["LIFETIME"]["remainingTimeInSeconds"] <= 3600
        with pytest.raises(ConfigurationError, match="lifetime"):
            api.update_lifetime(app_id, -5)

    def test_a_lifetime_that_has_run_out_ends_it(self, running: tuple[str, dict], api: YARNAPI) -> None:
        app_id, _ = running
        api.update_lifetime(app_id, 1)
        until(lambda: api.state(app_id) == "KILLED", f"{app_id} to run out of time")


class TestContainers:
    def test_those_of_all_nodes_are_listed_with_what_the_nodes_know(
        self, running: tuple[str, dict], api: YARNAPI
    ) -> None:
        app_id, container = running
        assert container == {**container, "state": "RUNNING", "user": "alice", "totalMemoryNeededMB": 128}
        assert container["nodeId"] in {node["id"] for node in api.nodes()}
        assert container["allocatedMB"] == 128
        assert container["containerLogsLink"].startswith("http://")
        assert [c["id"] for c in api.app_containers(info=api.status(app_id))] == [container["id"]]
        assert api.container_status(container["id"]) == "RUNNING"

    def test_exactly_one_of_id_and_info_is_given(self, api: YARNAPI) -> None:
        with pytest.raises(TypeError, match="one of them"):
            api.app_containers()
        with pytest.raises(TypeError, match="one of them"):
            api.app_containers("application_1_0001", {"id": "application_1_0001"})

    def test_an_ended_application_has_none(self, running: tuple[str, dict], api: YARNAPI) -> None:
        app_id, container = running
        api.kill(app_id)
        assert api.app_containers(app_id) == []
        with pytest.raises(KnitError, match=f"no longer knows {container['id']}"):
            api.container_status(container["id"])

    @pytest.mark.parametrize("container_id", ["", "container_1", None, "application_1_0001"])
    def test_what_is_no_id_is_refused(self, api: YARNAPI, container_id: object) -> None:
        with pytest.raises(ConfigurationError, match="container id"):
            api.container_status(container_id)  # type: ignore[arg-type]

    def test_one_of_an_unknown_application_is_not_found(self, api: YARNAPI) -> None:
        with pytest.raises(ApplicationNotFound, match="application_1_0001"):
            api.container_status("container_1_0001_01_000001")


class TestKilling:
    def test_it_waits_for_the_end(self, running: tuple[str, dict], api: YARNAPI, marker: str) -> None:
        app_id, _ = running
        assert api.kill(app_id, diagnostics=f"because of {marker}") is True
        status = api.status(app_id)
        assert (status["state"], status["finalStatus"]) == ("KILLED", "KILLED")
        assert "alice" in status["diagnostics"]
        assert f"because of {marker}" in status["diagnostics"]

    def test_one_that_ended_by_itself_was_not_killed(self, start: Start, api: YARNAPI) -> None:
        app_id = start("true")
        until(lambda: api.state(app_id) == "FAILED", f"{app_id} to end")
        assert api.kill(app_id) is False
        assert api.state(app_id) == "FAILED"

    def test_a_wait_of_nothing_says_that_it_has_not_ended_yet(self, running: tuple[str, dict], api: YARNAPI) -> None:
        app_id, _ = running
        in_time = api.kill(app_id, timeout=0)
        # The ResourceManager may have been quicker than its answer; then True is right.
        assert in_time is False or api.state(app_id) == "KILLED"
        until(lambda: api.state(app_id) == "KILLED", f"{app_id} to end")

    def test_all_means_knits_own_of_the_caller(self, cluster: LocalCluster, start: Start) -> None:
        # A user of its own, because other tests run as alice.
        api = api_of(cluster, "killjoy")
        mine = start(user="killjoy", app_type="knit")
        spark = start(user="killjoy", app_type="SPARK")
        others = start(user="bob", app_type="knit")
        assert api.kill_all() == [mine]
        assert api.state(mine) == "KILLED"
        assert {api.state(spark), api.state(others)} <= {"NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING"}
        assert api.kill_all(knit_only=False) == [spark]
        assert api.state(others) != "KILLED"
        assert api.kill_all() == []


def test_logs_of_a_running_application(start: Start, api: YARNAPI, marker: str) -> None:
    app_id = start(f"echo {marker}; sleep 600")
    container = container_of(api, app_id)["id"]
    until(lambda: marker in str(api.logs(app_id)[container].get("stdout")), "the log")
    assert api.logs(app_id)[container]["nodeId"] in {node["id"] for node in api.nodes()}


class TestLogsOnANode:
    CONTENT = b"h\x00llo w\xc3\xb6rld\n<pre>End of LogType:stdout\n\xff\xfe no newline at the end"

    @pytest.fixture
    def written(self, start: Start, api: YARNAPI) -> tuple[NodeManager, str]:
        octal = "".join(f"\\{byte:03o}" for byte in self.CONTENT)
        app_id = start(f"printf '{octal}'; printf '%0.sx' {{1..5000}} >&2; : > $PWD/ready; sleep 600")
        container = container_of(api, app_id)
        node = NodeManager(api.session, container["nodeHttpAddress"])

        def complete() -> bool:
            return {"stdout": len(self.CONTENT), "stderr": 5000}.items() <= {
                file.name: file.length for file in node.log_files(container["id"])
            }.items()

        until(complete, "the logs")
        return node, container["id"]

    @staticmethod
    def read(node: NodeManager, container: str, name: str, **kwargs: int) -> bytes:
        out = io.BytesIO()
        assert node.read_log(container, name, out, **kwargs) == len(out.getvalue())
        return out.getvalue()

    def test_they_come_byte_for_byte(self, written: tuple[NodeManager, str]) -> None:
        assert self.read(*written, "stdout") == self.CONTENT
        assert self.read(*written, "stderr") == b"x" * 5000

    @pytest.mark.parametrize("offset", [1, 5, 30, -1, -7, -10_000, len(CONTENT) - 1, len(CONTENT), 10**9])
    def test_from_any_byte_on(self, written: tuple[NodeManager, str], offset: int) -> None:
        assert self.read(*written, "stdout", offset=offset) == self.CONTENT[offset:]

    @pytest.mark.parametrize(("offset", "limit"), [(0, 0), (0, 1), (0, 10**6), (3, 4), (-9, 4)])
    def test_a_part(self, written: tuple[NodeManager, str], offset: int, limit: int) -> None:
        assert self.read(*written, "stdout", offset=offset, limit=limit) == self.CONTENT[offset:][:limit]

    def test_an_empty_file(self, written: tuple[NodeManager, str]) -> None:
        assert self.read(*written, "prelaunch.err") == b""

    def test_a_file_that_is_not_there(self, written: tuple[NodeManager, str]) -> None:
        node, container = written
        assert node.read_log(container, "nosuch", io.BytesIO()) is None

    @pytest.mark.parametrize("name", ["", "..", "../stdout", "a/b"])
    def test_what_is_no_file_name(self, written: tuple[NodeManager, str], name: str) -> None:
        node, container = written
        with pytest.raises(ConfigurationError, match="name of a log file"):
            node.read_log(container, name, io.BytesIO())

    def test_what_the_node_does_not_have(self, written: tuple[NodeManager, str]) -> None:
        node, container = written
        other = container[:-1] + "7"
        assert node.container(other) is None
        assert node.log_files(other) == []
        assert node.read_log(other, "stdout", io.BytesIO()) is None

    def test_its_containers(self, written: tuple[NodeManager, str]) -> None:
        node, container = written
        assert container in [c["id"] for c in node.containers()]
        assert node.containers("application_1_0001") == []
        found = node.container(container)
        assert found is not None
        assert found["state"] == "RUNNING"
        assert node.info()["nodeHealthy"] is True

    def test_a_file_that_grows_is_read_on_without_gaps(self, start: Start, api: YARNAPI) -> None:
        grow = "for i in {0..29}; do seq $((i * 100000)) $((i * 100000 + 99999)); sleep 0.1; done; sleep 600"
        container = container_of(api, start(grow))
        node = NodeManager(api.session, container["nodeHttpAddress"])
        out = io.BytesIO()
        expected = b"".join(b"%d\n" % i for i in range(3_000_000))

        def read_on() -> bool:
            node.read_log(container["id"], "stdout", out, offset=len(out.getvalue()))
            return len(out.getvalue()) >= len(expected)

        until(read_on, "the whole log")
        assert out.getvalue() == expected

    def test_a_large_one_is_not_held_in_memory(self, start: Start, api: YARNAPI) -> None:
        size = 200_000_000
        container = container_of(api, start(f"head -c {size} /dev/zero; sleep 600"))
        node = NodeManager(api.session, container["nodeHttpAddress"])
        until(
            lambda: any(f.name == "stdout" and f.length == size for f in node.log_files(container["id"])),
            "200 MB of log",
        )

        class Counter(io.RawIOBase):
            largest = 0

            def write(self, data: bytes) -> int:  # type: ignore[override]
                self.largest = max(self.largest, len(data))
                return len(data)

        counter = Counter()
        assert node.read_log(container["id"], "stdout", counter) == size  # type: ignore[arg-type]
        assert counter.largest <= 2**20


class TestAnUnreachableNode:
    def test_it_costs_the_details_only(
        self, running: tuple[str, dict], api: YARNAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app_id, container = running

        def refuse(self: NodeManager, *args: object, **kwargs: object) -> list:
            raise ClusterUnavailable("the node is behind a wall")

        monkeypatch.setattr(NodeManager, "containers", refuse)
        found = api.app_containers(app_id)
        assert [(c["id"], c["state"], c["nodeId"]) for c in found] == [
            (container["id"], "RUNNING", container["nodeId"])
        ]

    def test_a_stopped_daemon_is_named(self, api: YARNAPI, free_tcp_port: int) -> None:
        with pytest.raises(ClusterUnavailable, match=f"127.0.0.1:{free_tcp_port} refused"):
            NodeManager(api.session, f"127.0.0.1:{free_tcp_port}").info()


def test_a_session_serves_for_long_and_for_many(cluster: LocalCluster) -> None:
    """Connections are kept: a hundred calls open few sockets."""
    with session_of(cluster) as session:
        for _ in range(100):
            session.get_json("cluster/metrics")
        port = int(cluster.rm_web.split(":")[1])
        connections = [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == port]
        assert sum(c.status == "ESTABLISHED" for c in connections) <= 4


@pytest.fixture
def free_tcp_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
