from __future__ import annotations

import pytest

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.config.locate import find_site_files
from knit_provider.yarn.errors import ConfigurationError

KEY = "yarn.scheduler.minimum-allocation-mb"
LEVELS = ["arguments", "pars", "connection", "file", "cluster", "default"]


def conf_with(levels, site) -> HadoopConf:
    path = site("yarn-site", {KEY: "file"} if "file" in levels else {"other.key": "x"})
    conf = HadoopConf.load(
        hadoop_conf_dir=path.parent,
        pars={KEY: "pars"} if "pars" in levels else None,
        connection={KEY: "connection"} if "connection" in levels else None,
        environ={},
        **({KEY: "arguments"} if "arguments" in levels else {}),
    )
    return conf.with_cluster({KEY: "cluster"}) if "cluster" in levels else conf


@pytest.mark.parametrize("winner", range(len(LEVELS)))
def test_each_source_wins_over_those_below_it(winner, site):
    conf = conf_with(LEVELS[winner:], site)
    expected = LEVELS[winner] if LEVELS[winner] != "default" else "1024"
    assert conf[KEY] == expected
    assert len(conf.sources(KEY)) == len(LEVELS) - winner


def test_sources_name_the_file(site):
    path = site("yarn-site", {KEY: "1"})
    conf = HadoopConf.load(hadoop_conf_dir=path.parent, environ={}, pars={KEY: "2"})
    assert conf.sources(KEY) == ["pars", str(path), "default"]


def test_a_final_property_of_a_file_does_not_bind_the_user(site):
    """As in Hadoop, where set() overrides what a file declares final."""
    path = site(
        "core-site",
        "<configuration><property><name>a.b</name><value>1</value><final>true</final></property></configuration>",
    )
    assert HadoopConf.load(hadoop_conf_dir=path.parent, environ={}, pars={"a.b": "2"})["a.b"] == "2"


def test_none_counts_as_not_given(site):
    path = site("core-site", {"a.b": "file"})
    conf = HadoopConf.load(hadoop_conf_dir=path.parent, environ={}, pars={"a.b": None}, user=None, rm=None)
    assert conf["a.b"] == "file"


def test_autodetect_false_reads_no_file(site):
    path = site("yarn-site", {"yarn.resourcemanager.hostname": "h"})
    conf = HadoopConf.load(autodetect=False, environ={"HADOOP_CONF_DIR": str(path.parent)})
    assert conf.files == []
    assert conf["rm"] == "localhost"


def test_a_conf_dir_and_autodetect_false_contradict_each_other(tmp_path):
    with pytest.raises(ConfigurationError, match="autodetect=False"):
        HadoopConf.load(autodetect=False, hadoop_conf_dir=tmp_path)


@pytest.mark.parametrize(
    ("pars", "words"),
    [
        ({"hot": "x"}, "hot"),
        ({"rm_prt": 1}, "did you mean"),
        ({"a.b": {}}, "a.b"),
        ({1: "x"}, "1"),
        ({"rm_port": "eighty"}, "rm_port"),
        ({"rm_port": 0}, "rm_port"),
        ({"nn_port": 65536}, "nn_port"),
        ({"replication_factor": -1}, "replication_factor"),
        ({"rm": "http://h:8088"}, "rm="),
        ({"rm": ""}, "rm="),
        ({"user": 5}, "user"),
        ({"scheme": "ftp"}, "scheme"),
        ({"rm_addresses": []}, "rm_addresses"),
        (["a"], "list"),
    ],
)
def test_settings_that_cannot_be_used_are_named(pars, words):
    with pytest.raises(ConfigurationError, match=words):
        HadoopConf.load(autodetect=False, pars=pars, environ={})


def test_values_are_written_as_hadoop_writes_them():
    conf = HadoopConf.load(
        autodetect=False, environ={}, pars={"a.b": True, "c.d": 7, "e.f": ["x", "y"], "h.x": "0x10", "b.x": "maybe"}
    )
    assert (conf["a.b"], conf["c.d"], conf["e.f"]) == ("true", "7", "x,y")
    assert conf.get_bool("a.b") is True
    assert conf.get_bool("b.x", default=True) is True
    assert conf.get_int("c.d") == 7
    assert conf.get_int("h.x") == 16
    assert conf.get_list("e.f") == ["x", "y"]
    assert conf.get_int("not.there", 3) == 3
    with pytest.raises(ConfigurationError, match=r"b\.x='maybe' \(from pars\)"):
        conf.get_int("b.x")


class TestSearchOrder:
    @pytest.fixture
    def places(self, tmp_path, site):
        made = {
            "HADOOP_CONF_DIR": "a",
            "YARN_CONF_DIR": "b",
            "HADOOP_INSTALL": "c/etc/hadoop",
            "HADOOP_HOME": "d/hadoop/conf",
            "system": "e",
        }
        for name, directory in made.items():
            site("core-site", {"found.in": name}, directory=directory)
        return {name: str(tmp_path / directory[0]) for name, directory in made.items()}

    @pytest.mark.parametrize(
        "present",
        [
            ["HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_INSTALL", "HADOOP_HOME"],
            ["YARN_CONF_DIR", "HADOOP_INSTALL", "HADOOP_HOME"],
            ["HADOOP_INSTALL", "HADOOP_HOME"],
            ["HADOOP_HOME"],
            [],
        ],
    )
    def test_the_first_place_that_has_files_decides(self, places, present):
        found = find_site_files(None, {k: places[k] for k in present}, places["system"])
        assert found.files[0].read_text().count(f"<value>{(present or ['system'])[0]}</value>") == 1
        assert len(found.files) == 1

    def test_files_come_from_both_conf_dirs(self, tmp_path, site):
        site("core-site", {"a.b": "hadoop"}, directory="h")
        site("core-site", {"a.b": "yarn"}, directory="y")
        site("yarn-site", {"c.d": "yarn"}, directory="y")
        conf = HadoopConf.load(environ={"HADOOP_CONF_DIR": str(tmp_path / "h"), "YARN_CONF_DIR": str(tmp_path / "y")})
        assert (conf["a.b"], conf["c.d"]) == ("hadoop", "yarn")

    @pytest.mark.parametrize("name", ["HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_INSTALL", "HADOOP_HOME"])
    def test_a_variable_that_names_nothing_is_an_error(self, name, tmp_path):
        missing = str(tmp_path / "missing")
        with pytest.raises(ConfigurationError, match=f"{name}='{missing}' does not exist"):
            HadoopConf.load(environ={name: missing})

    def test_a_variable_that_names_a_file_is_an_error(self, site):
        path = site("core-site", {})
        with pytest.raises(ConfigurationError, match="is not a directory"):
            HadoopConf.load(environ={"HADOOP_CONF_DIR": str(path)})

    def test_an_argument_that_names_nothing_is_an_error(self, tmp_path):
        with pytest.raises(ConfigurationError, match="hadoop_conf_dir"):
            HadoopConf.load(hadoop_conf_dir=tmp_path / "missing", environ={})

    def test_an_argument_that_names_an_empty_directory_is_an_error(self, tmp_path):
        with pytest.raises(ConfigurationError, match=r"holds none of core-site\.xml"):
            HadoopConf.load(hadoop_conf_dir=tmp_path, environ={})

    def test_where_was_looked_can_be_said(self, tmp_path):
        found = find_site_files(None, {}, str(tmp_path / "none"))
        assert found.files == []
        assert found.looked[-1] == str(tmp_path / "none")

    def test_an_unused_home_does_not_matter(self, site, tmp_path):
        path = site("core-site", {"a.b": "1"})
        conf = HadoopConf.load(environ={"HADOOP_CONF_DIR": str(path.parent), "HADOOP_HOME": "/no/such/home"})
        assert conf["a.b"] == "1"
