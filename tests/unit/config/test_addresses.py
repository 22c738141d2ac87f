from __future__ import annotations

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.errors import ConfigurationError

HA = {
    "yarn.resourcemanager.ha.enabled": "true",
    "yarn.resourcemanager.ha.rm-ids": "rm1, rm2",
    "yarn.resourcemanager.hostname.rm1": "m1",
    "yarn.resourcemanager.hostname.rm2": "m2",
    "yarn.resourcemanager.cluster-id": "prod/east",
}


def conf_of(pars=None, /, **kwargs) -> HadoopConf:
    return HadoopConf.load(autodetect=False, environ={}, pars=pars, **kwargs)


class TestResourceManager:
    @pytest.mark.parametrize(
        ("properties", "urls"),
        [
            ({"yarn.resourcemanager.hostname": "rm"}, ["http://rm:8088"]),
            ({"yarn.resourcemanager.webapp.address": "rm:18088"}, ["http://rm:18088"]),
            ({"yarn.resourcemanager.webapp.address": "rm"}, ["http://rm:8088"]),
            # Where only the RPC address says the host, that host is meant.
            ({"yarn.resourcemanager.address": "rm:8050"}, ["http://rm:8088"]),
            # 0.0.0.0 says where a daemon listens, not where it is.
            (
                {"yarn.resourcemanager.webapp.address": "0.0.0.0:18088", "yarn.resourcemanager.hostname": "rm"},
                ["http://rm:18088"],
            ),
            ({"yarn.resourcemanager.hostname": "rm", "yarn.http.policy": "HTTPS_ONLY"}, ["https://rm:8090"]),
            (
                {"yarn.resourcemanager.webapp.https.address": "rm:1", "yarn.http.policy": "https_only"},
                ["https://rm:1"],
            ),
            (HA, ["http://m1:8088", "http://m2:8088"]),
            ({**HA, "yarn.http.policy": "HTTPS_ONLY"}, ["https://m1:8090", "https://m2:8090"]),
            (
                {**HA, "yarn.resourcemanager.webapp.address.rm2": "0.0.0.0:9"},
                ["http://m1:8088", "http://m2:9"],
            ),
            ({**HA, "yarn.resourcemanager.ha.enabled": "false"}, ["http://m1:8088", "http://m2:8088"]),
            (
                {**HA, "yarn.resourcemanager.ha.enabled": "false", "yarn.resourcemanager.hostname": "one"},
                ["http://one:8088"],
            ),
            ({"yarn.resourcemanager.webapp.address": "[::1]:8"},
             ["http://[::1]:8"]),
        ],
    )  # fmt: skip
    def test_addresses_come_from_the_properties(self, properties, urls):
        conf = conf_of(properties)
        assert conf.rm_web_addresses() == urls
        assert conf.rm_is_configured

    def test_nothing_configured_falls_back_to_this_machine_and_says_so(self):
        conf = conf_of()
        assert conf.rm_web_addresses() == ["http://localhost:8088"]
        assert not conf.rm_is_configured
        assert "autodetect=False" in conf.search_description()

    def test_a_file_with_hadoops_default_address_is_not_a_configuration(self, site):
        path = site("yarn-site", {"yarn.resourcemanager.webapp.address": "0.0.0.0:8088"})
        conf = HadoopConf.load(hadoop_conf_dir=path.parent, environ={})
        assert not conf.rm_is_configured
        assert conf.rm_web_addresses() == ["http://localhost:8088"]
        assert str(path) in conf.search_description()

    def test_an_id_without_an_address_is_an_error(self):
        broken = {key: value for key, value in HA.items() if not key.endswith("hostname.rm2")}
        with pytest.raises(ConfigurationError, match=r"yarn\.resourcemanager\.hostname\.rm2"):
            conf_of(broken).rm_web_addresses()

    @pytest.mark.parametrize("text", ["rm:port", "rm:99999", "a b:8088", "rm:80:80", "${rm.host}:8088"])
    def test_an_address_that_is_none_is_named_with_its_property(self, text):
        with pytest.raises(ConfigurationError, match=r"yarn\.resourcemanager\.webapp\.address"):
            conf_of({"yarn.resourcemanager.webapp.address": text}).rm_web_addresses()

    def test_arguments_beat_properties(self):
        conf = conf_of({"yarn.resourcemanager.webapp.address": "file:1"}, rm="me", rm_port=2)
        assert conf.rm_web_addresses() == ["http://me:2"]
        assert (conf["rm"], conf["rm_port"]) == ("me", 2)

    def test_a_given_address_list(self):
        conf = conf_of(HA, rm_addresses=["a:1", "https://b:2"])
        assert conf.rm_web_addresses() == ["http://a:1", "https://b:2"]

    @pytest.mark.parametrize("address", ["", "0.0.0.0:8088", "ftp://h:1", "h:x"])
    def test_a_given_address_that_cannot_be_used(self, address):
        with pytest.raises(ConfigurationError, match="rm_addresses"):
            conf_of(rm_addresses=["ok:1", address or ":"]).rm_web_addresses()

    def test_a_host_of_the_list_is_asked_first_and_the_others_after(self):
        assert conf_of(HA, rm="m2").rm_web_addresses() == ["http://m2:8088", "http://m1:8088"]

    def test_identity_is_the_cluster_id_or_the_rpc_address(self):
        assert conf_of(HA).rm_identity() == "prod_east"
        assert conf_of({"yarn.resourcemanager.address": "rm:8050"}).rm_identity() == "rm_8050"
        assert conf_of({"yarn.resourcemanager.hostname": "rm"}).rm_identity() == "rm_8032"


class TestAnotherClusterThanTheFiles:
    FILE = {**HA, "yarn.resourcemanager.address.rm1": "m1:8050", "yarn.application.classpath": "/x"}

    def conf(self, site, **arguments) -> HadoopConf:
        path = site("yarn-site", self.FILE)
        site("core-site", {"fs.defaultFS": "hdfs://n1:8020", "dfs.namenode.http-address": "n1:50070"})
        return HadoopConf.load(hadoop_conf_dir=path.parent, environ={}, **arguments)

    def test_nothing_of_the_files_rm_is_mixed_with_the_users(self, site):
        conf = self.conf(site, rm="other")
        assert conf.rm_web_addresses() == ["http://other:8088"]
        assert conf["yarn.resourcemanager.address"] == "other:8032"
        assert "yarn.resourcemanager.address.rm1" not in conf
        assert conf.rm_identity() == "other_8032"
        assert conf["yarn.application.classpath"] == "/x"

    def test_a_process_that_reads_the_files_itself_is_told(self, site):
        beyond = self.conf(site, rm="other", nn="n2").beyond_files()
        assert beyond["yarn.resourcemanager.hostname"] == "other"
        assert beyond["yarn.resourcemanager.ha.enabled"] == "false"
        assert beyond["fs.defaultFS"] == "hdfs://n2:9000"

    def test_the_same_host_keeps_what_the_files_say_of_it(self, site):
        conf = self.conf(site, rm="m1", rm_port=8099)
        assert conf.rm_web_addresses() == ["http://m1:8099", "http://m2:8088"]
        assert conf["yarn.resourcemanager.address.rm1"] == "m1:8050"
        assert conf.rm_identity() == "prod_east"

    def test_behind_a_gateway_the_files_still_hold(self, site):
        conf = self.conf(site, rm="knox", rm_port=8443, scheme="https", gateway_path="/gateway/default/resourcemanager")
        assert conf.rm_web_addresses() == ["https://knox:8443"]
        assert conf["yarn.resourcemanager.address.rm1"] == "m1:8050"

    def test_several_given_hosts_make_a_list_of_ids(self, site):
        conf = self.conf(site, rm_addresses=["x:1", "y:2"])
        assert conf.rm_web_addresses() == ["http://x:1", "http://y:2"]
        assert conf["yarn.resourcemanager.ha.rm-ids"] == "rm1,rm2"
        assert conf["yarn.resourcemanager.hostname.rm2"] == "y"

    def test_another_name_node(self, site):
        conf = self.conf(site, nn="n2", nn_port=8021)
        assert conf.default_fs == "hdfs://n2:8021"
        assert conf.namenode_web_addresses() == ["http://n2:9870"]

    def test_the_same_name_node(self, site):
        conf = self.conf(site, nn="n1")
        assert conf.default_fs == "hdfs://n1:8020"
        assert conf.namenode_web_addresses() == ["http://n1:50070"]

    def test_plain_hadoop_properties_beat_the_files_list(self, site):
        conf = self.conf(site, pars={"yarn.resourcemanager.hostname": "solo"})
        assert conf.rm_web_addresses() == ["http://solo:8088"]
        assert conf.beyond_files()["yarn.resourcemanager.ha.enabled"] == "false"


class TestNameNode:
    HA = {
        "fs.defaultFS": "hdfs://Prod",
        "dfs.nameservices": "Prod,other",
        "dfs.ha.namenodes.Prod": "nn1,nn2",
        "dfs.namenode.http-address.Prod.nn1": "n1:9870",
        "dfs.namenode.rpc-address.Prod.nn2": "n2:8020",
        "dfs.namenode.https-address.Prod.nn1": "n1:9871",
        "dfs.namenode.http-address.other": "o1:50070",
    }

    @pytest.mark.parametrize(
        ("properties", "filesystem", "urls"),
        [
            ({"fs.defaultFS": "hdfs://n:8020"}, None, ["http://n:9870"]),
            ({"fs.defaultFS": "hdfs://n:8020/", "dfs.namenode.http-address": "w:50070"}, None, ["http://w:50070"]),
            ({"fs.defaultFS": "hdfs://n", "dfs.http.policy": "HTTPS_ONLY"}, None, ["https://n:9871"]),
            (HA, None, ["http://n1:9870", "http://n2:9870"]),
            (HA, "hdfs://other", ["http://o1:50070"]),
            ({**HA, "dfs.http.policy": "HTTPS_ONLY"}, None, ["https://n1:9871", "https://n2:9871"]),
            ({"fs.defaultFS": "webhdfs://h:14000"}, None, ["http://h:14000"]),
            ({"fs.defaultFS": "swebhdfs://h"}, None, ["https://h:9871"]),
            ({"fs.defaultFS": "s3a://bucket"}, None, []),
            ({"fs.defaultFS": "file:///"}, None, []),
        ],
    )
    def test_web_addresses(self, properties, filesystem, urls):
        assert conf_of(properties).namenode_web_addresses(filesystem) == urls

    def test_a_name_node_without_an_address_is_an_error(self):
        broken = {key: value for key, value in self.HA.items() if not key.endswith("nn2")}
        with pytest.raises(ConfigurationError, match=r"dfs\.namenode\.http-address\.Prod\.nn2"):
            conf_of(broken).namenode_web_addresses()

    @pytest.mark.parametrize(
        ("properties", "arguments", "default_fs", "nn", "nn_port"),
        [
            ({}, {}, "hdfs://localhost:9000", "localhost", 9000),
            # Knit documented 9000; it holds where neither user, files nor cluster say a port.
            ({}, {"nn": "h"}, "hdfs://h:9000", "h", 9000),
            ({}, {"nn": "h", "nn_port": 8020}, "hdfs://h:8020", "h", 8020),
            ({"fs.defaultFS": "hdfs://h:8021"}, {"nn": "h"}, "hdfs://h:8021", "h", 8021),
            ({"fs.defaultFS": "hdfs://h:8021"}, {"nn_port": 1}, "hdfs://h:1", "h", 1),
            ({"fs.defaultFS": "hdfs://h"}, {}, "hdfs://h", "h", None),
            (HA, {}, "hdfs://Prod", "Prod", None),
            (HA, {"nn": "other"}, "hdfs://other", "other", None),
            ({}, {"nn": "s3a://bucket"}, "s3a://bucket", "bucket", None),
            ({"fs.defaultFS": "h:9000"}, {}, "hdfs://h:9000", "h", 9000),
        ],
    )
    def test_the_default_filesystem(self, properties, arguments, default_fs, nn, nn_port):
        conf = conf_of(properties, **arguments)
        assert conf.default_fs == conf["fs.defaultFS"] == default_fs
        assert (conf["nn"], conf["nn_port"]) == (nn, nn_port)

    def test_the_cluster_knows_the_port_that_nobody_else_said(self):
        conf = conf_of(nn="h").with_cluster({"fs.defaultFS": "hdfs://h:8020"})
        assert conf.default_fs == "hdfs://h:8020"


class TestAnswersOfTheCluster:
    ANSWER = {
        "properties": [
            {"key": "fs.defaultFS", "value": "hdfs://n:8020", "isFinal": False, "resource": "core-site.xml"},
            {"key": "yarn.resourcemanager.address", "value": "0.0.0.0:8050", "resource": "yarn-site.xml"},
            {"key": "yarn.resourcemanager.hostname", "value": "0.0.0.0", "resource": "yarn-default.xml"},
            {"key": "fs.s3a.secret.key", "value": "<redacted>", "resource": "core-site.xml"},
            {"key": "io.file.buffer.size", "value": "4096", "resource": "core-default.xml"},
        ]
    }

    def test_it_fills_in_what_a_client_without_files_lacks(self):
        conf = conf_of(rm="rm.example.org").with_cluster(self.ANSWER)
        assert conf.default_fs == "hdfs://n:8020"
        assert conf["yarn.resourcemanager.address"] == "rm.example.org:8050"
        assert "fs.s3a.secret.key" not in conf
        assert "io.file.buffer.size" not in conf

    def test_asking_again_replaces_the_old_answer(self):
        conf = conf_of(rm="h").with_cluster({"a.b": "1", "c.d": "1"}).with_cluster({"a.b": "2"})
        assert conf["a.b"] == "2"
        assert "c.d" not in conf

    def test_what_was_set_leaves_out_hadoops_defaults(self):
        found = conf_of({"a.b": "1"}, rm="h").with_cluster(self.ANSWER).set_properties()
        assert found == {
            "a.b": "1",
            "fs.defaultFS": "hdfs://n:8020",
            "yarn.resourcemanager.address": "h:8050",
            "yarn.resourcemanager.hostname": "h",
        }


class TestAsADictionary:
    def test_short_names_and_properties_are_both_there(self):
        conf = conf_of({"a.b": "1"}, rm="h", rm_port="18088", user="alice", replication_factor=2, lang="C")
        assert (conf["rm"], conf["rm_port"], conf["user"], conf["replication_factor"]) == ("h", 18088, "alice", 2)
        assert conf["lang"] == "C"
        assert {"rm", "a.b", "yarn.http.policy"} <= set(conf)
        assert len(dict(conf)) == len(conf)
        with pytest.raises(KeyError):
            conf["not.there"]
        assert conf.get("not.there", "x") == "x"

    def test_seeds_fallbacks(self):
        conf = conf_of()
        assert (conf["rm"], conf["rm_port"], conf["rm_port_https"]) == ("localhost", 8088, 8090)
        assert (conf["replication_factor"], conf["lang"]) == (3, "C.UTF-8")

    def test_the_user_comes_from_the_environment_unless_kerberos_says_who_it_is(self):
        environ = {"HADOOP_USER_NAME": "alice"}
        simple = HadoopConf.load(autodetect=False, environ=environ)
        secure = HadoopConf.load(autodetect=False, environ=environ, pars={"hadoop.security.authentication": "Kerberos"})
        assert simple.user == "alice"
        assert secure.user != "alice"
        assert HadoopConf.load(autodetect=False, environ=environ, user="bob").user == "bob"

    def test_a_copy_for_another_user(self):
        conf = conf_of({"a.b": "1"}, user="alice", rm="h")
        assert conf.acting_as("alice") is conf
        other = conf.acting_as("bob")
        assert (other.user, other["rm"], other["a.b"], conf.user) == ("bob", "h", "1", "alice")

    def test_a_password_is_in_no_print(self):
        conf = HadoopConf.load(autodetect=False, environ={}, connection={"password": "canary"})
        assert conf.password == "canary"
        assert "canary" not in repr(conf) + str(dict(conf))
