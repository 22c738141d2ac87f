"""What the daemons are told."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from knit_provider.localcluster.ha import add_ha, addresses_of
from knit_provider.localcluster.ports import PortPool, obstacle, split_address
from knit_provider.localcluster.settings import Layout, cluster_settings, node_settings, write_conf
from knit_provider.localcluster.tls import tls_settings
from knit_provider.yarn.errors import ConfigurationError


class OwnPorts(PortPool):
    """Every port is free: between two looks at a machine's real ones another process can take one."""

    def pick(self, preferred: int | None = None) -> int:
        port = preferred if preferred is not None and preferred not in self._taken else 20000 + len(self._taken)
        self._taken.add(port)
        return port


def settings(
    overrides: dict[str, str] | None = None,
    queues: dict[str, dict[str, str]] | None = None,
    previous: dict[str, str] | None = None,
) -> dict[str, str]:
    with OwnPorts() as pool:
        return cluster_settings(
            Layout(Path("/x")), pool, overrides=overrides or {}, queues=queues or {}, previous=previous or {}
        )


def capacities(found: dict[str, str]) -> dict[str, int]:
    prefix = "yarn.scheduler.capacity.root."
    return {name: int(found[f"{prefix}{name}.capacity"]) for name in found[f"{prefix}queues"].split(",")}


def test_every_service_is_on_loopback_with_a_port_of_its_own() -> None:
    addresses = [value for key, value in settings().items() if key.endswith("address") and not key.endswith(".dir")]
    assert len(addresses) == len(set(addresses)) == 13
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_overrides_win_everywhere() -> None:
    found = settings({"dfs.namenode.rpc-address": "127.0.0.1:9000", "yarn.acl.enable": "true", "dfs.replication": "2"})
    assert found["fs.defaultFS"] == "hdfs://127.0.0.1:9000"
    assert found["yarn.acl.enable"] == "true"
    assert found["dfs.replication"] == "2"


def moved(found: dict[str, str]) -> dict[str, str]:
    """The same settings, with every port another one than would be picked next."""
    return {key: re.sub(r"127\.0\.0\.1:2", "127.0.0.1:3", value) for key, value in found.items()}


def test_ports_of_the_last_time_are_taken_again() -> None:
    first = moved(settings())
    assert first != settings()
    assert settings(previous=first) == first


def test_conf_comes_first_in_the_class_path() -> None:
    assert settings()["yarn.application.classpath"] == "/x/hadoop/etc/hadoop,/x/hadoop/share/hadoop/common/*"


def test_queues() -> None:
    assert capacities(settings()) == {"default": 70, "other": 30}
    found = settings(
        queues={"stopped": {"state": "STOPPED"}, "wide": {"capacity": "20", "acl_submit_applications": "bob"}}
    )
    assert capacities(found) == {"default": 45, "other": 30, "stopped": 5, "wide": 20}
    assert found["yarn.scheduler.capacity.root.stopped.state"] == "STOPPED"
    assert found["yarn.scheduler.capacity.root.wide.acl_submit_applications"] == "bob"
    assert found["yarn.scheduler.capacity.root.default.state"] == "RUNNING"


@pytest.mark.parametrize(
    ("queues", "words"),
    [
        ({"a.b": {}}, r"'a\.b' is no name for a queue"),
        ({"": {}}, "'' is no name"),
        ({"a": {"capacity": "half"}}, "capacity of queue 'a' is 'half'"),
        ({"a": {"capacity": "80"}}, "add up to more than 100"),
    ],
)
def test_bad_queues(queues: dict[str, dict[str, str]], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        settings(queues=queues)


def test_files_are_what_hadoop_reads(tmp_path: Path) -> None:
    written = {
        "fs.defaultFS": "hdfs://x",
        "dfs.replication": "1",
        "yarn.a": "<&>\"'",
        "yarn.scheduler.capacity.root.queues": "default",
        "mapreduce.b": "ü",
        "yarn.app.mapreduce.c": "c",
        "ipc.d": "d",
    }
    write_conf(tmp_path, written)
    read = {
        file.name: {p.findtext("name"): p.findtext("value") for p in ET.parse(file).getroot()}
        for file in tmp_path.glob("*.xml")
    }
    assert read == {
        "core-site.xml": {"fs.defaultFS": "hdfs://x", "ipc.d": "d"},
        "hdfs-site.xml": {"dfs.replication": "1"},
        "yarn-site.xml": {"yarn.a": "<&>\"'"},
        "mapred-site.xml": {"mapreduce.b": "ü", "yarn.app.mapreduce.c": "c"},
        "capacity-scheduler.xml": {"yarn.scheduler.capacity.root.queues": "default"},
    }
    assert (tmp_path / "log4j.properties").is_file()


def test_nodes_share_neither_ports_nor_folders() -> None:
    with PortPool() as pool:
        one, two = (node_settings(Layout(Path("/x")), name, pool, overrides={}, previous={}) for name in ("n-1", "n-2"))
    assert not set(one.values()) & set(two.values())


def test_two_pools_do_not_pick_the_same_port() -> None:
    with PortPool() as one, PortPool() as two:
        ports = [one.pick() for _ in range(3)]
        assert not {two.pick(preferred=port) for port in ports} & set(ports)
    with PortPool() as three:
        # Any of them: one may be somebody else's by now.
        assert {three.pick(preferred=port) for port in ports} & set(ports)


def test_a_port_that_is_listened_on_is_not_picked() -> None:
    with PortPool() as pool:
        port = pool.pick()
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with PortPool() as pool:
            assert pool.pick(preferred=port) != port
        assert obstacle("127.0.0.1", port) is not None
    assert obstacle("127.0.0.1", port) is None


@pytest.mark.parametrize("address", ["", "host", "host:", ":80", "host:http", "host:70000", "host:-1"])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the port is .*has to be host:port"):
        split_address(address, "the port")


class TestHighAvailability:
    def settings(
        self, overrides: dict[str, str] | None = None, previous: dict[str, str] | None = None
    ) -> dict[str, str]:
        with OwnPorts() as pool:
            layout, given, before = Layout(Path("/x")), overrides or {}, previous or {}
            alone = cluster_settings(layout, pool, overrides=given, queues={}, previous=before)
            return add_ha(alone, layout, pool, overrides=given, previous=before)

    def test_each_of_the_two_has_ports_of_its_own(self) -> None:
        found = self.settings()
        names = [f"{kind}-{number}" for kind in ("namenode", "resourcemanager", "zkfc") for number in (1, 2)]
        addresses = [address for name in names for address in addresses_of(name, found).values()]
        assert len(addresses) == len(set(addresses)) == 2 * (2 + 5 + 1)
        assert all(address.startswith("127.0.0.1:") for address in addresses)

    def test_nothing_names_a_third_one(self) -> None:
        found = self.settings()
        assert not {"yarn.resourcemanager.webapp.address", "dfs.namenode.rpc-address"} & set(found)
        assert found["fs.defaultFS"] == "hdfs://knit"

    def test_ports_of_the_last_time_are_taken_again(self) -> None:
        first = moved(self.settings())
        assert first != self.settings()
        assert self.settings(previous=first) == first

    def test_overrides_name_one_of_the_two(self) -> None:
        found = self.settings(
            {"yarn.resourcemanager.webapp.address.rm2": "127.0.0.1:8088", "dfs.ha.log-roll.period": "9"}
        )
        assert found["yarn.resourcemanager.webapp.address.rm2"] == "127.0.0.1:8088"
        assert found["dfs.ha.log-roll.period"] == "9"
        with pytest.raises(ConfigurationError, match=r"two of that daemon. Add \.knit\.nn1 or \.knit\.nn2"):
            self.settings({"dfs.namenode.http-address": "127.0.0.1:9870"})


def with_ha(folder: Path, kerberos: bool) -> dict[str, str]:
    with PortPool() as pool:
        return add_ha(settings(), Layout(folder), pool, overrides={}, previous={}, kerberos=kerberos)


def test_resource_managers_lock_what_they_keep_in_zookeeper_with_one_password(tmp_path: Path) -> None:
    assert not any(".zk.acl" in key or "zk-acl" in key for key in with_ha(tmp_path, kerberos=False))
    found = with_ha(tmp_path, kerberos=True)
    password = Path(found["hadoop.zk.auth"].removeprefix("@"))
    assert password.stat().st_mode & 0o077 == 0
    assert found["hadoop.zk.acl"] == found["yarn.resourcemanager.zk-acl"]
    assert password.read_text().rpartition(":")[2] not in str(found)
    # What is locked needs the password ever after.
    assert with_ha(tmp_path, kerberos=False)["hadoop.zk.acl"] == found["hadoop.zk.acl"]


def test_with_tls_each_of_two_has_its_secure_port(tmp_path: Path) -> None:
    found = with_ha(tmp_path, kerberos=False)
    secure = tls_settings(Layout(tmp_path), found)
    for one in ("rm1", "rm2"):
        plain = found[f"yarn.resourcemanager.webapp.address.{one}"]
        assert secure[f"yarn.resourcemanager.webapp.https.address.{one}"] == plain
    for one in ("nn1", "nn2"):
        assert secure[f"dfs.namenode.https-address.knit.{one}"] == found[f"dfs.namenode.http-address.knit.{one}"]
    assert secure["dfs.datanode.https.address"] == found["dfs.datanode.http.address"]
