"""requirements.txt, pyproject.toml and uv.lock, by the real uv, from a folder of wheels."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from knit_provider.environments.optional import uv_program
from knit_provider.environments.sources import CondaPackages, source_of
from knit_provider.yarn.errors import EnvironmentBuildError

from .conftest import run, unpack


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one module and one program."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print({name!r}, {version!r})\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    lines = [
        f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b'=').decode()},{len(t)}"
        for n, t in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in {**files, f"{info}/RECORD": "\n".join([*lines, f"{info}/RECORD,,", ""])}.items():
            archive.writestr(entry, text)
    return path


@pytest.fixture
def wheels(tmp_path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "spam", "1.0")
    wheel(folder, "spam", "2.0")
    return folder


def test_requirements_are_installed_once_and_run_elsewhere(wheels, make, tmp_path, record) -> None:
    project = tmp_path / "job"
    project.mkdir()
    (project / "base.txt").write_text("spam==1.0\n")
    requirements = project / "requirements.txt"
    requirements.write_text(f"--no-index\n--find-links {wheels}\n-r base.txt\n")
    env = make(str(requirements))
    assert (env.kind, env.name, env.packages) == ("uv", "job", ("spam=1.0",))
    home = unpack(env.path, tmp_path / "env")
    assert run(home / "bin/spam") == "spam 1.0"  # no activation, no fixed path
    assert make(str(requirements), progress=record).reused
    assert record.stages == []
    assert make(str(requirements), cache_dir=tmp_path / "other").digest == env.digest
    # A file that it names counts as well.
    (project / "base.txt").write_text("spam==2.0\n")
    assert make(str(requirements)).packages == ("spam=2.0",)


def test_a_requirement_that_nobody_has_is_named_with_uvs_reason(wheels, make, tmp_path) -> None:
    (tmp_path / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\nspam==9.9\n")
    with pytest.raises(EnvironmentBuildError, match=r"spam==9\.9"):
        make(str(tmp_path / "requirements.txt"))


def test_a_uv_lock_is_installed_as_it_is_and_never_changed(wheels, make, tmp_path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'project'\nversion = '1'\nrequires-python = '>=3.10'\ndependencies = ['spam<2']\n"
        f"[tool.uv]\nno-index = true\nfind-links = ['{wheels}']\n"
    )
    subprocess.run([uv_program(), "lock", "--quiet", "--offline"], cwd=project, check=True, timeout=120)
    before = (project / "uv.lock").read_bytes()
    wheel(wheels, "spam", "1.9")  # newer, and still in range
    env = make(str(project / "uv.lock"))
    assert (env.name, env.packages) == ("project", ("spam=1.0",))
    assert (project / "uv.lock").read_bytes() == before
    assert sorted(path.name for path in project.iterdir()) == ["pyproject.toml", "uv.lock"]
    (project / "uv.lock").unlink()
    assert make(str(project / "pyproject.toml")).packages == ("spam=1.9",)


@pytest.fixture
def uv_calls(tmp_path, monkeypatch) -> Path:
    """A file with the command lines that uv gets, and with the mode of the files that it is to read."""
    said, uv = tmp_path / "uv-calls", tmp_path / "uv"
    uv.write_text(
        f'#!/bin/sh\necho "$@" >> {said}\n'
        f'for word; do case "$word" in *.txt) stat -c %a "$word" >> {said};; esac; done\n'
        f'exec {uv_program()} "$@"\n'
    )
    uv.chmod(0o755)
    monkeypatch.setattr("knit_provider.environments.uv_build.uv_program", lambda: str(uv))
    return said


def test_a_pip_list_in_an_environment_file_goes_into_the_conda_environment(
    wheels, conda_channel, make, tmp_path, uv_calls
) -> None:
    (tmp_path / "limits here.txt").write_text("spam<2\n")
    (tmp_path / "more.txt").write_text("-c 'limits here.txt'\n")
    wheel(tmp_path, "eggs", "3.0")
    lines = [
        "--no-index",
        "--find-links wheels",  # from the file's folder, as all that follows
        "-r more.txt",
        "-c 'limits here.txt'",
        "spam",
        "./eggs-3.0-py3-none-any.whl",
        "ham @ https://ann:s3cret@127.0.0.1:9/ham-1.0-py3-none-any.whl ; python_version < '3'",
    ]
    (tmp_path / "environment.yml").write_text(
        json.dumps(
            {"name": "mixed", "channels": [conda_channel], "dependencies": ["words=1.0", {"pip": lines}]},
        )
    )
    source = source_of(str(tmp_path / "environment.yml"))
    assert isinstance(source, CondaPackages)
    env = make(source)
    assert {"spam=1.0", "eggs=3.0", "words=1.0"} <= set(env.packages)
    said = uv_calls.read_text()
    assert "--python" in said
    assert "s3cret" not in said, "everybody can read a command line"
    assert said.splitlines()[-1] == "600"
    home = unpack(env.path, tmp_path / "env")
    assert run(home / "bin/python", "-c", "import spam, words; spam.main()") == "spam 1.0"
