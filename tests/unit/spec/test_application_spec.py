"""What an application spec accepts, what it refuses, and how it says so."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle

import pytest

from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.spec import ApplicationSpec, File, Master, Resources, Service, SpecError

WORKER = {"script": "date", "resources": {"memory": "1 GiB", "vcores": 1}}


def spec_of(**fields):
    return ApplicationSpec.from_dict({"services": {"worker": WORKER}} | fields)


def with_worker(**fields):
    return ApplicationSpec.from_dict({"services": {"worker": WORKER | fields}})


def refusal(**fields):
    with pytest.raises(SpecError) as caught:
        with_worker(**fields)
    return caught.value


def test_defaults_are_as_documented():
    spec = spec_of()
    assert (spec.name, spec.queue, spec.max_attempts, spec.lifetime) == ("knit", "default", 1, 7 * 24 * 3600)
    assert spec.master.resources == Resources(memory=256, vcores=1)
    worker = spec.services["worker"]
    assert (worker.instances, worker.max_restarts, worker.allow_failures, worker.when_empty) == (1, 0, False, "finish")
    assert worker.resources.memory == 1024


def test_a_spec_can_be_built_from_objects_or_from_mappings():
    service = Service(resources=Resources("2 GiB", 2, gpus=1), argv=["echo", "hi"], files=["a.txt"])
    built = ApplicationSpec(services={"worker": service}, master={"log_level": "debug"})
    assert built.services["worker"].resources == Resources(2048, 2, gpus=1)
    assert built.services["worker"].argv == ("echo", "hi")
    assert built.services["worker"].files == {"a.txt": File("a.txt")}
    assert built.master == Master(log_level="DEBUG")


def test_a_spec_is_frozen_and_can_be_replaced_copied_and_pickled():
    spec = spec_of(tags=["a"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "other"
    assert dataclasses.replace(spec, name="other").name == "other"
    assert copy.deepcopy(spec) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"memroy": 1}, "services.worker.memroy", "not a field"),
        ({"instnaces": 2}, "services.worker.instnaces", "did you mean 'instances'"),
        ({"depends": ["a"]}, "services.worker.depends", "called 'depends_on' here"),
        ({"resources": {"memroy": 1, "vcores": 1}}, "services.worker.resources.memroy", "did you mean 'memory'"),
        ({"resources": {"vcores": 1}}, "services.worker.resources.memory", "is required"),
        ({"resources": None}, "services.worker.resources", "is required"),
        ({"resources": {"memory": 0}}, "services.worker.resources.memory", "0"),
        ({"resources": {"memory": -1}}, "services.worker.resources.memory", "-1"),
        ({"resources": {"memory": "-1 GiB"}}, "services.worker.resources.memory", "-1 GiB"),
        ({"resources": {"memory": 1.5}}, "services.worker.resources.memory", "1.5"),
        ({"resources": {"memory": True}}, "services.worker.resources.memory", "True"),
        ({"resources": {"memory": "lots"}}, "services.worker.resources.memory", "lots"),
        ({"resources": {"memory": 4 * 1024**3}}, "services.worker.resources.memory", "MiB"),
        ({"resources": {"memory": 1, "vcores": 0}}, "services.worker.resources.vcores", "at least 1"),
        ({"resources": {"memory": 1, "vcores": 2.0}}, "services.worker.resources.vcores", "2.0"),
        ({"resources": {"memory": 1, "vcores": 10**9}}, "services.worker.resources.vcores", "1000000000"),
        ({"resources": {"memory": 1, "gpus": -1}}, "services.worker.resources.gpus", "-1"),
        ({"resources": {"memory": 1, "named": {"a b": 1}}}, "services.worker.resources.named.a b", "resource name"),
        ({"resources": {"memory": 1, "named": {"x": "1"}}}, "services.worker.resources.named.x", "whole number"),
        ({"resources": {"memory": 1, "named": {"vcores": 1}}}, "services.worker.resources.named.vcores", "vcores"),
        (
            {"resources": {"memory": 1, "gpus": 1, "named": {"yarn.io/gpu": 1}}},
            "services.worker.resources.named.yarn.io/gpu",
            "beside 'gpus'",
        ),
        ({"instances": -1}, "services.worker.instances", "-1"),
        ({"instances": 1.5}, "services.worker.instances", "1.5"),
        ({"instances": True}, "services.worker.instances", "True"),
        ({"instances": "4"}, "services.worker.instances", "'4'"),
        ({"instances": 10**7}, "services.worker.instances", "10000000"),
        ({"instances": float("nan")}, "services.worker.instances", "nan"),
        ({"max_restarts": -2}, "services.worker.max_restarts", "-1"),
        ({"script": None}, "services.worker.script", "is required"),
        ({"script": "  \n"}, "services.worker.script", "is required"),
        ({"script": 7}, "services.worker.script", "write '7'"),
        ({"script": "a\0b"}, "services.worker.script", "NUL character at position 1"),
        ({"script": "\ud800"}, "services.worker.script", "surrogate"),
        ({"argv": ["a"]}, "services.worker.argv", "beside 'script'"),
        ({"script": "", "argv": ["a", "b\0"]}, "services.worker.argv[1]", "NUL"),
        ({"script": "", "argv": ["a", 3]}, "services.worker.argv[1]", "write '3'"),
        ({"script": "", "argv": [""]}, "services.worker.argv[0]", "empty"),
        ({"script": "", "argv": "ls -l"}, "services.worker.argv", "write ['ls -l']"),
        ({"script": "", "argv": ["x" * 131072]}, "services.worker.argv[0]", "131072 bytes"),
        ({"script": "", "argv": ["x" * 100_000] * 16}, "services.worker.argv", "take 16001"),
        ({"env": {"A": "b"}}, "services.worker.env", "'envvars'"),
        ({"env": 5}, "services.worker.env", "must be a string"),
        ({"env": "python://usr/bin/python"}, "services.worker.env", "three slashes"),
        ({"env": "conda:dev"}, "services.worker.env", "conda://"),
        ({"env": "venv://"}, "services.worker.env", "names no environment"),
        ({"envvars": {"A": 1}}, "services.worker.envvars.A", "quotes"),
        ({"envvars": {"A": None}}, "services.worker.envvars.A", "quotes"),
        ({"envvars": {"A-B": "x"}}, "services.worker.envvars.A-B", "variable name"),
        ({"envvars": {"": "x"}}, "services.worker.envvars", "variable name"),
        ({"envvars": {"É": "x"}}, "services.worker.envvars.É", "variable name"),
        ({"envvars": {"KNIT_X": "x"}}, "services.worker.envvars.KNIT_X", "KNIT_"),
        ({"envvars": {"UID": "0"}}, "services.worker.envvars.UID", "bash"),
        ({"envvars": {"A": "\0"}}, "services.worker.envvars.A", "NUL"),
        ({"envvars": {"A": "x" * 131070}}, "services.worker.envvars.A", "131072 bytes"),
        ({"envvars": ["A=b"]}, "services.worker.envvars", "must be a mapping"),
        ({"envvars": {1: "b"}}, "services.worker.envvars", "the key 1"),
        ({"depends_on": "scheduler"}, "services.worker.depends_on", "write ['scheduler']"),
        ({"depends_on": ["scheduler"]}, "services.worker.depends_on[0]", "no service 'scheduler'"),
        ({"allow_failures": "no"}, "services.worker.allow_failures", "true or false"),
        ({"when_empty": "sleep"}, "services.worker.when_empty", "finish, stay, end"),
        ({"nodes": ["a,b"]}, "services.worker.nodes[0]", "commas"),
        ({"racks": [""]}, "services.worker.racks[0]", "empty"),
        ({"node_label": "a && b"}, "services.worker.node_label", "node_label"),
        ({"files": "data.csv"}, "services.worker.files", "write ['data.csv']"),
        ({"files": ["a/x.csv", "b/x.csv"]}, "services.worker.files.1", "a/x.csv and b/x.csv"),
        ({"files": {"/etc/x": "a"}}, "services.worker.files./etc/x", "absolute"),
        ({"files": {"../x": "a"}}, "services.worker.files.../x", "'..'"),
        ({"files": {"a/../../x": "a"}}, "services.worker.files.a/../../x", "'..'"),
        ({"files": {"": "a"}}, "services.worker.files", "empty"),
        ({"files": {"knit-run.sh": "a"}}, "services.worker.files.knit-run.sh", "reserved"),
        ({"files": {"./knit-env/x": "a"}}, "services.worker.files../knit-env/x", "reserved"),
        ({"files": ["launch_container.sh"]}, "services.worker.files.0", "reserved"),
        ({"files": {'a"b': "a"}}, 'services.worker.files.a"b', "cannot make a link"),
        ({"files": {"a$(id)": "a"}}, "services.worker.files.a$(id)", "cannot make a link"),
        ({"files": {"a\nb": "a"}}, "services.worker.files.a\nb", "cannot make a link"),
        ({"files": {"a b/c": "a"}}, "services.worker.files.a b/c", "in a folder whose name"),
        ({"files": {"a;id/c": "a"}}, "services.worker.files.a;id/c", "in a folder whose name"),
        ({"files": {"a": "x", "a/b": "y"}}, "services.worker.files.a/b", "lies inside 'a'"),
        ({"files": {"a": {"sauce": "x"}}}, "services.worker.files.a.sauce", "did you mean 'source'"),
        ({"files": {"a": {"type": "FILE"}}}, "services.worker.files.a.source", "is required"),
        ({"files": {"a": {"source": "x", "type": "DIR"}}}, "services.worker.files.a.type", "ARCHIVE"),
        ({"files": {"a": {"source": "x", "size": 3}}}, "services.worker.files.a.source", "local"),
        ({"files": {"a": {"source": "file://host/x"}}}, "services.worker.files.a.source", "another host"),
        ({"files": ["x.zip"], "archives": ["y/x.zip"]}, "services.worker.archives.x.zip", "x.zip and y/x.zip"),
    ],
)
def test_a_bad_service_field_is_refused_by_its_path(fields, path, words):
    error = refusal(**fields)
    assert error.field == path
    assert path in str(error)
    assert words in str(error)
    assert isinstance(error, ConfigurationError)
    assert isinstance(error, KnitError)


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"nmae": "x"}, "nmae", "did you mean 'name'"),
        ({"name": ""}, "name", "empty"),
        ({"name": "a\nb"}, "name", "unprintable"),
        ({"name": "x" * 1025}, "name", "1024"),
        ({"queue": "a b"}, "queue", "spaces"),
        ({"queue": None}, "queue", "string"),
        ({"tags": "nightly"}, "tags", "write ['nightly']"),
        ({"tags": [f"t{n}" for n in range(10)]}, "tags", "at most 9"),
        ({"tags": ["x" * 101]}, "tags[0]", "100"),
        ({"tags": ["é"]}, "tags[0]", "ASCII"),
        ({"tags": ["a,b"]}, "tags[0]", "commas"),
        ({"tags": ["a\tb"]}, "tags[0]", "unprintable"),
        ({"user": "a b"}, "user", "spaces"),
        ({"priority": -1}, "priority", "-1"),
        ({"max_attempts": 0}, "max_attempts", "0"),
        ({"max_attempts": 1.5}, "max_attempts", "1.5"),
        ({"lifetime": 0}, "lifetime", "between 1"),
        ({"lifetime": float("nan")}, "lifetime", "nan"),
        ({"lifetime": float("inf")}, "lifetime", "inf"),
        ({"lifetime": [1]}, "lifetime", "15 min"),
        ({"lifetime": "soon"}, "lifetime", "15 min"),
        ({"lifetime": 10**12}, "lifetime", "between"),
        ({"attempt_failures_validity": True}, "attempt_failures_validity", "True"),
        ({"bound": "yes"}, "bound", "true or false"),
        ({"services": [WORKER]}, "services", "mapping"),
        ({"services": {"a b": WORKER}}, "services.a b", "service name"),
        ({"services": {"../x": WORKER}}, "services.../x", "service name"),
        ({"services": {"x" * 101: WORKER}}, "services." + "x" * 101, "service name"),
        ({"services": {1: WORKER}}, "services", "quotes"),
        ({"services": {"w": "date"}}, "services.w", "must be a mapping"),
        ({"services": {}}, "services", "at least one service"),
        ({"master": {"port_range": [5, 1]}}, "master.port_range", "lower port"),
        ({"master": {"port_range": "x"}}, "master.port_range", "30000-30100"),
        ({"master": {"port_range": [1, 70000]}}, "master.port_range[1]", "70000"),
        ({"master": {"log_level": "LOUD"}}, "master.log_level", "DEBUG"),
        ({"master": {"resources": {"memory": "x"}}}, "master.resources.memory", "x"),
        ({"master": {"security": {}}}, "master.security", "of its own"),
        ({"acls": {"view_users": "bob"}}, "acls.view_users", "write ['bob']"),
        ({"acls": {"viewers": []}}, "acls.viewers", "view_users"),
        ({"file_systems": ["nn:8020"]}, "file_systems[0]", "hdfs://"),
        ({"reservation_id": "7"}, "reservation_id", "reservation_"),
        ({"log_aggregation": {"includes": "x"}}, "log_aggregation.includes", "include"),
    ],
)
def test_a_bad_application_field_is_refused_by_its_path(fields, path, words):
    with pytest.raises(SpecError) as caught:
        spec_of(**fields)
    assert caught.value.field == path
    assert words in str(caught.value)


def test_a_mapping_as_env_is_a_type_error_that_names_envvars_and_shows_no_value():
    with pytest.raises(TypeError, match="envvars") as caught:
        with_worker(env={"PASSWORD": "hunter2"})
    assert isinstance(caught.value, ConfigurationError)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [{"TOKEN": "s3cret" * 30_000}, {"TOKEN": "s3cret\0"}, {"TOKEN": b"s3cret"}])
def test_errors_about_variables_do_not_show_their_values(value):
    assert "s3cret" not in str(refusal(envvars=value))


def test_a_circle_of_dependencies_is_named_in_the_order_of_the_needs():
    services = {name: WORKER | {"depends_on": [needs]} for name, needs in (("a", "b"), ("b", "c"), ("c", "a"))}
    with pytest.raises(SpecError, match="circle") as caught:
        ApplicationSpec(services=services)
    circle = str(caught.value).rsplit(": ", 1)[1].split(" -> ")
    assert circle[0] == circle[-1]
    assert list(itertools.pairwise(circle)) in (
        [("a", "b"), ("b", "c"), ("c", "a")],
        [("b", "c"), ("c", "a"), ("a", "b")],
        [("c", "a"), ("a", "b"), ("b", "c")],
    )


def test_a_service_that_depends_on_itself_is_refused():
    with pytest.raises(SpecError, match="worker -> worker"):
        with_worker(depends_on=["worker"])


def test_an_application_may_consist_of_a_script_on_the_master():
    spec = ApplicationSpec(master=Master(script="date"))
    assert spec.master.runs_script
    assert not spec.services


def test_tags_are_folded_to_lower_case_with_a_warning(caplog):
    spec = spec_of(tags=["Nightly", "nightly", "etl"])
    assert spec.tags == ("nightly", "etl")
    assert "Nightly becomes nightly" in caplog.text


def test_lengths_of_time_are_read_with_units():
    assert spec_of(lifetime="12 h").lifetime == 12 * 3600
    assert spec_of(lifetime="7 days").lifetime == 7 * 86400
    assert spec_of(lifetime="1.5 min").lifetime == 90
    assert spec_of(lifetime="90").lifetime == 90
    assert spec_of(lifetime=89.5).lifetime == 90
    assert spec_of(lifetime=None).lifetime is None
    assert spec_of(attempt_failures_validity="10 min").attempt_failures_validity == 600


def test_named_resources_are_read_from_keys_with_a_slash():
    resources = Resources.from_dict({"memory": 1, "yarn.io/gpu": 2, "acme.com/nic": 1, "named": {"licence": 3}})
    assert resources.gpus == 2
    assert Resources(1, named={"yarn.io/gpu": 2, "yarn.io/fpga": 0}) == Resources(1, gpus=2)
    assert resources.amounts() == {"yarn.io/gpu": 2, "acme.com/nic": 1, "licence": 3}


def test_an_archive_is_known_by_its_ending_or_by_being_listed_as_one():
    service = Service.from_dict(
        WORKER
        | {
            "files": ["a.zip", "b.tar.gz", "c.TGZ", "d.tar", "e.csv", {"source": "f.zip", "type": "FILE"}],
            "archives": {"lib": "g.whl"},
        }
    )
    assert [link for link, file in service.links.items() if file.is_archive] == [
        "a.zip",
        "b.tar.gz",
        "c.TGZ",
        "d.tar",
        "lib",
    ]


def test_one_file_listed_twice_is_one_file():
    assert list(with_worker(files=["a/x.csv", "a/x.csv"]).services["worker"].files) == ["x.csv"]


def test_acls_become_yarns_strings():
    acls = spec_of(acls={"view_users": ["bob", "eve"], "view_groups": ["staff"], "modify_users": ["*"]}).acls
    assert acls.to_yarn() == {"view": "bob,eve staff", "modify": "*"}
    assert spec_of().acls.to_yarn() == {}
    assert spec_of(acls={"enable": True}).acls.to_yarn() == {"view": " ", "modify": " "}
    assert spec_of(acls={"enable": False, "view_users": ["bob"]}).acls.to_yarn() == {}


@pytest.mark.parametrize(
    ("acls", "view"),
    [
        ({}, "portal "),
        ({"view_users": ["bob"]}, "bob,portal "),
        ({"view_groups": ["*"]}, "*"),
        ({"enable": False}, None),
    ],
)
def test_a_login_that_acts_for_the_owner_may_view(acls, view):
    assert spec_of(acls=acls).acls.with_viewer("portal").to_yarn().get("view") == view


def test_text_of_more_than_64_mib_is_refused():
    with pytest.raises(SpecError, match="files="):
        ApplicationSpec(services={"w": WORKER | {"script": "x" * (64 * 1024 * 1024 + 1)}})
