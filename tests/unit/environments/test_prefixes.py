"""Environments that are there already: conda prefixes, virtual environments, the running one, conda's root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from knit_provider.environments.conda_build import make_conda_prefix
from knit_provider.environments.sources import CondaPackages, CondaPrefix, source_of
from knit_provider.environments.store import Store
from knit_provider.yarn.errors import EnvironmentBuildError
from tests.channels import LIB

from .conftest import Record, run, unpack


@pytest.fixture(scope="module")
def linked(tmp_path_factory, conda_channel, pkgs) -> Path:
    """A conda environment as any tool leaves it, in a folder with an odd name."""
    folder = tmp_path_factory.mktemp("linked")
    prefix = folder / "my envs" / "prüfung 1"
    make_conda_prefix(
        CondaPackages("x", ("greet", "words"), (conda_channel,)), prefix, Store(folder / "cache", pkgs), Record()
    )
    (prefix / "conda-meta" / "history").write_text("# cmd: conda create -c http://ann:s3cret@host x\n")
    return prefix


@pytest.fixture
def prefix(conda_channel, pkgs, tmp_path) -> Path:
    """A small one to break."""
    folder = tmp_path / "small"
    make_conda_prefix(
        CondaPackages("x", ("loose", "figures"), (conda_channel,)), folder, Store(tmp_path / "c", pkgs), Record()
    )
    return folder


def test_a_conda_prefix_is_packed_and_runs_elsewhere(linked, make, tmp_path) -> None:
    first, second = Record(), Record()
    env = make(f"conda://{linked}", progress=first)
    assert (env.kind, env.name) == ("prefix", "pr_fung_1")
    home = unpack(env.path, tmp_path / "env")
    assert run(home / "bin/python", "-c", "import greet; greet.main()") == "hello 2.0 with 2.0"
    assert (home / "conda-meta" / "history").read_bytes() == b""
    # Using it changes nothing that counts.
    run(linked / "bin/python", "-c", "import json.tool, greet")
    assert make(str(linked), progress=second).reused
    assert second.stages == []


def test_a_prefix_that_got_another_package_is_packed_anew(prefix, make) -> None:
    before = make(str(prefix))
    (prefix / LIB / "site-packages" / "mine.py").write_text("x = 1\n")
    after = make(str(prefix))
    assert not after.reused
    assert before.digest != after.digest


def test_files_that_another_package_manager_removed_or_replaced_are_named(prefix, make, tmp_path) -> None:
    module = prefix / LIB / "site-packages/loose/__init__.py"
    module.unlink()
    with pytest.raises(EnvironmentBuildError, match=r"loose 2\.0.*loose/__init__\.py.*ignore_missing"):
        make(str(prefix))
    module.write_text("VERSION = 'pip has put another one here'\n")
    with pytest.raises(EnvironmentBuildError, match=r"loose/__init__\.py.*ignore_missing"):
        make(str(prefix))
    home = unpack(make(str(prefix), ignore_missing=True).path, tmp_path / "env")
    assert "pip has put" in (home / LIB / "site-packages/loose/__init__.py").read_text()


def editable(site: Path, name: str, folder: Path, style: str) -> None:
    """What an editable installation leaves."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "direct_url.json").write_text(json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}}))
    if style == "finder":
        (site / f"__editable__.{name}.pth").write_text("import __editable___finder; __editable___finder.install()\n")
    else:
        (site / f"{name}.pth").write_text(f"{folder}\n")


@pytest.mark.parametrize("style", ["path", "finder"])
def test_editable_installations_are_named(prefix, make, tmp_path, style) -> None:
    editable(prefix / LIB / "site-packages", "mylib", tmp_path / "src", style)
    with pytest.raises(EnvironmentBuildError, match=rf"mylib \({tmp_path}/src\).*ignore_editable"):
        make(str(prefix))
    env = make(str(prefix), ignore_editable=True)
    assert any("mylib" in warning for warning in env.warnings)


@pytest.mark.parametrize("marks", [["envs/other"], ["condabin", "pkgs"]])
def test_condas_root_is_refused_with_the_reason(prefix, marks) -> None:
    assert source_of(f"conda://{prefix}") == CondaPrefix("small", str(prefix))
    for mark in marks:
        (prefix / mark).mkdir(parents=True)
    with pytest.raises(EnvironmentBuildError, match="root environment of a conda installation"):
        source_of(f"conda://{prefix}")


def test_a_conda_environment_by_its_name(linked, monkeypatch) -> None:
    monkeypatch.setenv("CONDA_ENVS_PATH", str(linked.parent))
    assert source_of(f"conda://{linked.name}") == CondaPrefix("pr_fung_1", str(linked))
    with pytest.raises(EnvironmentBuildError, match=rf"no conda environment 'nosuch'.*{linked.name}"):
        source_of("conda://nosuch")


@pytest.fixture(scope="module")
def venv(tmp_path_factory) -> Path:
    """A virtual environment with a package and its program, as pip leaves them."""
    folder = tmp_path_factory.mktemp("venv") / "proj"
    prefix = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True, timeout=120)
    site = prefix / LIB / "site-packages"
    (site / "tool.py").write_text("def main():\n    print('tool', __file__)\n")
    info = site / "tool-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tool\nVersion: 1.5\n")
    script = prefix / "bin" / "tool"
    script.write_text(f"#!{prefix}/bin/python\nimport tool\ntool.main()\n")
    script.chmod(0o755)
    run(prefix / "bin/python", "-m", "py_compile", site / "tool.py")
    return prefix


def test_a_virtual_environment_is_packed_and_runs_elsewhere(venv, make, tmp_path) -> None:
    env = make(f"venv://{venv}")
    assert (env.kind, env.name, env.packages) == ("venv", "proj", ("tool=1.5",))
    assert env.python == ".".join(map(str, sys.version_info[:3]))
    assert any("each node has to have that interpreter" in warning for warning in env.warnings)
    home = unpack(env.path, tmp_path / "env")
    assert run("bash", "-c", "source bin/activate && tool", cwd=home) == f"tool {home}/{LIB}/site-packages/tool.py"
    assert os.path.islink(home / "bin/python")
    assert make(f"venv://{venv}").reused


def test_links_out_of_an_environment_by_way_of_its_parent_are_refused(venv, make, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(venv, copy, symlinks=True)
    (copy / "data").symlink_to("../../data")
    with pytest.raises(EnvironmentBuildError, match="outside the environment"):
        make(str(copy))


def test_the_running_environment(venv) -> None:
    say = "from knit_provider.environments.sources import source_of; print(source_of('running'))"
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert run(venv / "bin/python", "-c", say, env=paths) == f"VenvPrefix(name='proj', prefix='{venv}', kind='running')"
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    done = subprocess.run([base, "-c", say], env=paths, capture_output=True, text=True, timeout=60, check=False)
    assert "the system's own" in done.stderr


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        ("conda:///nowhere/at/all", "does not exist"),
        ("venv:///nowhere", "no pyvenv.cfg"),
        ("/nowhere/environment.yml", "there is no"),
        ("hdfs://nn/envs/x.tar.gz", "give it to env= as it is"),
        ("python:///usr/bin/python3", "give it to env= as it is"),
    ],
)
def test_what_is_not_there_is_named(reference, match) -> None:
    with pytest.raises(EnvironmentBuildError, match=match):
        source_of(reference)
