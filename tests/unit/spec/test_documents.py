"""Specs as dicts, YAML, JSON and files, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from knit_provider.yarn.spec import ApplicationSpec, File, Master, Resources, Service, SpecError

ODD = json.loads((Path(__file__).parents[1] / "data" / "odd_strings.json").read_text())

FULL = ApplicationSpec(
    name="nightly",
    queue="root.etl",
    tags=["a", "b"],
    user="bob",
    priority=3,
    max_attempts=2,
    attempt_failures_validity="10 min",
    lifetime=None,
    acls={"view_users": ["bob"], "modify_groups": ["staff"]},
    node_label="fast",
    file_systems=["hdfs://other:8020"],
    bound=True,
    staging="hdfs://nn:8020/tmp/x",
    log_aggregation={"include": "std.*"},
    reservation_id="reservation_1_2",
    master=Master(
        resources=Resources("512 MiB", 2),
        script="echo 1\necho 2\n",
        files={"x": "hdfs://nn/x"},
        envvars={"A": "b"},
        log_level="WARN",
        port_range="30000-30010",
    ),
    services={
        "scheduler": Service(resources=Resources(100), argv=["a", "b c"], when_empty="stay"),
        "worker": Service(
            resources=Resources(100, 2, gpus=1, fpgas=2, named={"licence": 3}),
            script="date",
            instances=0,
            env="hdfs://nn/env.tar.gz",
            envvars={"N": "no"},
            files=["a.csv", File("hdfs://nn/b.csv", "FILE", "PUBLIC", 3, 4)],
            archives=["c.zip", "d.bin"],
            depends_on=["scheduler"],
            max_restarts=-1,
            allow_failures=True,
            node_label="slow",
            nodes=["n1"],
            racks=["/r1"],
            relax_locality=True,
        ),
    },
)


@pytest.mark.parametrize("spec", [FULL, ApplicationSpec(master=Master(argv=["date"]))], ids=["full", "small"])
def test_a_spec_survives_dict_yaml_and_json(spec):
    assert ApplicationSpec.from_dict(spec.to_dict()) == spec
    assert ApplicationSpec.from_yaml(spec.to_yaml()) == spec
    assert ApplicationSpec.from_json(spec.to_json()) == spec


def test_only_what_differs_from_the_defaults_is_written():
    spec = ApplicationSpec(services={"w": Service(resources=Resources(1), script="date")})
    assert spec.to_dict() == {"services": {"w": {"resources": {"memory": 1, "vcores": 1}, "script": "date"}}}
    assert FULL.to_dict()["lifetime"] is None


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(ODD)


@settings(deadline=None)
@given(st.lists(text, min_size=1), st.lists(text))
@example(ODD, ODD)
def test_odd_text_survives_yaml_and_json(arguments, values):
    spec = ApplicationSpec(
        services={
            "w": Service(
                resources=Resources(1),
                argv=["x", *arguments],
                envvars={f"V{position}": value for position, value in enumerate(values)},
            ),
            "s": Service(resources=Resources(1), script="x" + "\n".join(values)),
        }
    )
    assert ApplicationSpec.from_yaml(spec.to_yaml()) == spec
    assert ApplicationSpec.from_json(spec.to_json()) == spec


def test_a_script_of_several_lines_is_written_as_a_block():
    spec = ApplicationSpec(services={"w": Service(resources=Resources(1), script="set -e\ndate\n")})
    assert "script: |\n" in spec.to_yaml()


def test_paths_in_a_file_are_relative_to_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "app.yaml").write_text(
        """
        services:
          worker:
            resources: {memory: 1 GiB}
            script: date
            env: envs/dev.tar.gz
            files: [data.csv, /abs/b.csv, "hdfs://nn/c.csv", {source: ../up.csv, visibility: public}]
            archives: {lib: lib.zip}
        master: {files: {m: m.txt}}
        """
    )
    monkeypatch.chdir(folder)
    spec = ApplicationSpec.from_file("app.yaml")
    worker = spec.services["worker"]
    assert worker.env == f"{folder}/envs/dev.tar.gz"
    assert [file.source for file in worker.files.values()] == [
        f"{folder}/data.csv",
        "/abs/b.csv",
        "hdfs://nn/c.csv",
        f"{tmp_path}/up.csv",
    ]
    assert worker.archives["lib"].source == f"{folder}/lib.zip"
    assert spec.master.files["m"].source == f"{folder}/m.txt"


@pytest.mark.parametrize("env", ["python:///usr/bin/python3", "conda://dev", "venv:///x", "hdfs://nn/e.zip"])
def test_an_env_with_a_scheme_is_not_made_a_path(tmp_path, env):
    spec = ApplicationSpec.from_dict(
        {"services": {"w": {"resources": {"memory": 1}, "script": "x", "env": env}}}, tmp_path
    )
    assert spec.services["w"].env == env


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.yaml", "services: [", "no valid YAML"),
        ("a.yaml", "name: a\nname: b\n", "line 2, column 1: the key 'name' is given twice"),
        ("a.json", '{"name": 1,}', "line 1"),
        ("a.json", '{"name": "a", "name": "b"}', "'name' is given twice"),
        ("a.yaml", "a: !!python/object/apply:os.system [id]", "no valid YAML"),
        ("a.yaml", "- a\n- b\n", "must be a mapping"),
        ("a.yaml", "just text", "must be a mapping"),
        ("a.toml", "", "format="),
        ("a.json", "[" * 100_000, "no valid JSON"),
        ("a.yaml", "services: &s {w: *s}", "services.w"),
    ],
)
def test_a_bad_document_is_refused_with_its_place(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_file(path)
    assert words in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"missing\.yaml: the spec cannot be read: No such file"):
        ApplicationSpec.from_file(tmp_path / "missing.yaml")
    (tmp_path / "b.yaml").write_bytes(b"name: \xff")
    with pytest.raises(SpecError, match=r"b\.yaml: the spec is not UTF-8"):
        ApplicationSpec.from_file(tmp_path / "b.yaml")


def test_coerce_takes_specs_mappings_and_paths(tmp_path):
    (tmp_path / "a.json").write_text(FULL.to_json())
    assert ApplicationSpec.coerce(FULL) is FULL
    assert ApplicationSpec.coerce(FULL.to_dict()) == FULL
    assert ApplicationSpec.coerce(tmp_path / "a.json").name == "nightly"
