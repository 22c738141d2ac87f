"""Skein 0.8's own spec files, read unchanged."""

from __future__ import annotations

import pytest

from knit_provider.yarn.spec import ApplicationSpec, SpecError

SKEIN = """
name: hello
queue: default
user: ""
node_label: gpu
tags: [a, b]
file_systems: ["hdfs://other:8020"]
max_attempts: 2
acls:
  enable: true
  view_users: ["*"]
  modify_users: [nancy]
  ui_users: [bob]
master:
  resources: {memory: 512 MiB, vcores: 1}
  log_level: debug
  log_config: log4j.properties
  security: {cert_file: c.pem, key_file: k.pem}
  files: {notes.txt: notes.txt}
  env: {MASTER: yes it is}
  script: |
    echo master
services:
  scheduler:
    resources: {memory: 2 GiB, vcores: 1}
    files:
      environment: env.tar.gz
    script: |
      source environment/bin/activate
      dask-yarn services scheduler
  worker:
    instances: 4
    max_restarts: -1
    allow_failures: true
    depends: [scheduler]
    resources: {memory: 4 GiB, vcores: 2, gpus: 1, fpgas: 1}
    nodes: [n1]
    files:
      data.csv:
        source: hdfs:///data/data.csv
        type: file
        visibility: public
        size: 10
        timestamp: 1700000000000
    env: {OMP_NUM_THREADS: "2"}
    script: dask-yarn services worker
"""


def test_every_field_of_skein_is_read(tmp_path, caplog):
    path = tmp_path / "spec.yaml"
    path.write_text(SKEIN)
    spec = ApplicationSpec.from_skein(path)
    worker, scheduler = spec.services["worker"], spec.services["scheduler"]
    assert (spec.name, spec.node_label, spec.max_attempts, spec.user) == ("hello", "gpu", 2, None)
    assert spec.acls.to_yarn() == {"view": "*", "modify": "nancy "}
    assert worker.depends_on == ("scheduler",)
    assert worker.envvars == {"OMP_NUM_THREADS": "2"}
    assert (worker.resources.memory, worker.resources.gpus, worker.resources.fpgas) == (4096, 1, 1)
    assert worker.relax_locality is False
    data = worker.files["data.csv"]
    assert (data.type, data.visibility, data.size, data.timestamp) == ("FILE", "PUBLIC", 10, 1700000000000)
    assert scheduler.files["environment"].source == str(tmp_path / "env.tar.gz")
    assert scheduler.files["environment"].is_archive
    assert spec.master.envvars == {"MASTER": "yes it is"}
    assert spec.master.log_level == "DEBUG"
    for ignored in ("master.security", "master.log_config", "acls.ui_users"):
        assert ignored in caplog.text


def test_skeins_defaults_hold():
    spec = ApplicationSpec.from_skein({"master": {"script": "date"}, "acls": {"view_users": ["bob"]}})
    assert spec.name == "skein"
    assert spec.master.resources.memory == 512
    assert spec.acls.to_yarn() == {}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"services": {"w": {"depnds": []}}}, "services.w.depnds"),
        ({"services": {"w": {"envvars": {}}}}, "services.w.envvars"),
        ({"master": {"scrpt": ""}}, "master.scrpt"),
        ({"lifetime": 3}, "lifetime"),
    ],
)
def test_a_field_that_skein_does_not_have_is_refused(given, path):
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_skein(given)
    assert caught.value.field == path
