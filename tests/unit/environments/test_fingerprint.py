"""What makes a request another one: every edit of something that would be installed, and nothing else."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from knit_provider.environments import fingerprint
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.optional import uv_program
from knit_provider.environments.sources import CondaPackages, source_of
from knit_provider.environments.store import digest_of
from knit_provider.yarn.errors import EnvironmentBuildError

BUILD = "[build-system]\nrequires = ['hatchling']\n"


def key(reference: Path | CondaPackages) -> str:
    source = reference if isinstance(reference, CondaPackages) else source_of(str(reference))
    return digest_of(fingerprint.request_of(source))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder ``job`` with a package, beside another project, a wheel and a library that the former needs."""
    write(tmp_path / "job" / "src" / "mypkg" / "code.py")
    write(tmp_path / "other" / "pyproject.toml", BUILD + "[project]\nname = 'other'\ndependencies = ['deep']\n")
    write(tmp_path / "other" / "pyproject.toml", "[tool.uv.sources]\ndeep = { path = '../deep' }\n", more=True)
    write(tmp_path / "other" / "other.py")
    write(tmp_path / "deep" / "deep.py")
    write(tmp_path / "job" / "wheels" / "x-1-py3-none-any.whl")
    write(tmp_path / "job" / "pyproject.toml", BUILD)
    return tmp_path / "job"


def write(path: Path, text: str = "x", *, more: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if more else "") + text)
    return path


def edits(reference: Path | CondaPackages, *changed: Path) -> None:
    """Each edit makes another key; with nothing done, or with another file in the folder, the key stays."""
    write(changed[0].parent / "__pycache__" / "x.pyc", "cached")
    before = key(reference)
    write(changed[0].parent / "__pycache__" / "x.pyc", "cached anew")
    assert key(reference) == before
    for path in changed:
        write(path, "edited", more=True)
        after = key(reference)
        assert after != before, path
        before = after


REQUIREMENTS = [
    "./src",
    "src/",
    "mypkg @ ./src ; python_version >= '3'",
    "mypkg[fast]@file://{folder}/src",
    "./src[fast]",
    "-e ./src",
    "--editable=src",
    "mypkg @ file://${{THE_FOLDER}}/src",
    "./sr\\\nc",
]


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_a_folder_that_a_requirement_names(project: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_FOLDER", str(project))
    requirements = write(project / "requirements.txt", f"# ./src\n{line.format(folder=project)}  # ours\n")
    edits(requirements, project / "src/mypkg/code.py")


@pytest.mark.parametrize(
    "line", ["./wheels/{wheel}", "wheels/{wheel} --hash=sha256:0", "x @ file://{folder}/wheels/{wheel}"]
)
def test_a_wheel_that_a_requirement_names(project: Path, line: str) -> None:
    wheel = "x-1-py3-none-any.whl"
    edits(write(project / "requirements.txt", line.format(wheel=wheel, folder=project)), project / "wheels" / wheel)


def test_files_under_files(project: Path) -> None:
    write(project / "sub" / "base.txt", "-c 'limits here.txt'\n--requirement=more.txt\n")
    nested = [write(project / "sub" / "limits here.txt"), write(project / "sub" / "more.txt", "../other\n")]
    requirements = write(project / "requirements.txt", "-r sub/base.txt\n-r https://host/x.txt\n")
    edits(requirements, *nested, project.parent / "other" / "other.py", project.parent / "deep" / "deep.py")
    nested[1].unlink()
    with pytest.raises(EnvironmentBuildError, match=r"more\.txt cannot be read"):
        key(requirements)


def test_a_pip_list(project: Path) -> None:
    write(project / "reqs.txt", "-r base.txt\n")
    base = write(project / "base.txt")
    lines = "['./src', '-r reqs.txt', 'other @ ../other', '-c limits.txt']"
    (project / "environment.yml").write_text(f"channels: [c]\ndependencies: [python, {{pip: {lines}}}]\n")
    limits = write(project / "limits.txt")
    edits(project / "environment.yml", project / "src/mypkg/code.py", base, project.parent / "other/other.py", limits)


def test_uvs_sources(project: Path) -> None:
    document = write(project / "pyproject.toml", "[tool.uv.sources]\nx = [{ path = '../other' }]\n")
    edits(document, project.parent / "other/other.py", project.parent / "deep/deep.py")
    before = key(document)
    write(project / "score.py")  # without a build system the project itself is not installed
    assert key(document) == before
    write(document, "[tool.uv]\npackage = true\n", more=True)
    edits(document, project / "score.py")
    write(document, "[tool", more=True)
    with pytest.raises(EnvironmentBuildError, match=r"pyproject\.toml cannot be read as TOML"):
        key(document)


def test_members_of_the_workspace(project: Path) -> None:
    write(project.parent / "pyproject.toml", "[tool.uv.workspace]\nmembers = ['job', 'o*']\n")
    write(project / "pyproject.toml", "[tool.uv.sources]\nother = { workspace = true }\n", more=True)
    edits(project / "pyproject.toml", project.parent / "other/other.py")


def test_what_a_lock_names(project: Path) -> None:
    lock = write(
        project / "uv.lock",
        '[[package]]\nsource = { editable = "." }\n[[package]]\nsource = { directory = "../other" }\n'
        '[[package]]\nsource = { registry = "wheels" }\nwheels = [\n    { path = "x-1-py3-none-any.whl" },\n]\n',
    )
    edits(
        lock, project.parent / "other/other.py", project / "wheels/x-1-py3-none-any.whl", project / "src/mypkg/code.py"
    )


def test_a_package_is_not_taken_for_what_building_leaves(project: Path, tmp_path: Path) -> None:
    packages = [write(project / "src" / "mypkg" / name / "__init__.py") for name in ("build", "dist")]
    write(tmp_path / "shared" / "code.py")
    (project / "src" / "shared").symlink_to(tmp_path / "shared")
    (project / "src" / "itself").symlink_to(project)
    document = project / "pyproject.toml"
    edits(document, *packages, tmp_path / "shared" / "code.py")
    before = key(document)
    for left in (
        "build/lib/code.py",
        "dist/x.whl",
        "x.egg-info/PKG-INFO",
        ".git/HEAD",
        "venv/pyvenv.cfg",
        "venv/lib/x.py",
    ):
        write(project / left)
    assert key(document) == before
    edits(document, write(project / "build" / "__init__.py"))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """As one made by ``python -m venv``, with one distribution."""
    packages = tmp_path / "venv/lib/python3.11/site-packages"
    write(tmp_path / "venv" / "pyvenv.cfg")
    write(
        packages / "spam-1.dist-info" / "RECORD",
        "spam/__init__.py,,\nspam/a.py,,\nspam_extra/x.py,,\n../../../bin/x,,\n",
    )
    for name in ("spam/a.py", "spam_extra/x.py", "mypkg/sub/code.py", "old/x.py"):
        write(packages / name)
    write(packages / "old.egg-info" / "top_level.txt", "old\n")
    return packages


def test_what_lies_in_an_environment_without_a_distribution(venv: Path) -> None:
    prefix = venv.parents[2]
    edits(prefix, venv / "mypkg/sub/code.py", write(venv / "mypkg/new.py"), venv / "spam-1.dist-info/RECORD")


def test_an_environment_is_not_looked_at_file_by_file(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, lstat = [], os.stat
    monkeypatch.setattr(fingerprint.os, "stat", lambda path, **how: looked.append(str(path)) or lstat(path, **how))
    key(venv.parents[2])
    assert str(venv / "mypkg/sub/code.py") in looked
    assert not [path for path in looked if path.startswith((f"{venv}/spam/", f"{venv}/spam_extra/", f"{venv}/old/"))]


def test_machines_of_two_kinds_with_one_home(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    requests = [CondaPackages("x", ("pandas",), ("c",)), write(project / "requirements.txt", "pandas\n")]
    before = [key(request) for request in requests]
    uname = platform.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:4], "sparc64")))
    assert sys.platform == "linux"
    assert not set(before) & {key(request) for request in requests}


@pytest.mark.parametrize("kind", ["requirements.txt", "pyproject.toml", "uv.lock", "setup.cfg", "no name"])
def test_an_edit_of_a_package_that_is_built_again_gets_into_the_environment(
    tmp_path: Path, make: Callable[..., PackedEnvironment], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: the second day's code is in the second day's archive. uv has a cache of its own, too."""
    if kind != "no name":  # then uv has to ask for everything again
        monkeypatch.setenv("UV_OFFLINE", "1")
    package = tmp_path / "job" / "mypkg"
    write(package / "mypkg.py", "print('monday')\n")
    backend = (
        "import zipfile\n"
        "def build_wheel(folder, settings=None, metadata=None):\n"
        "    with zipfile.ZipFile(folder + '/mypkg-1-py3-none-any.whl', 'w') as wheel:\n"
        "        wheel.write('mypkg.py')\n"
        "        wheel.writestr('mypkg-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: mypkg\\nVersion: 1\\n')\n"
        "        wheel.writestr('mypkg-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('mypkg-1.dist-info/RECORD', '')\n"
        "    return 'mypkg-1-py3-none-any.whl'\n"
    )
    write(package / "backend.py", backend)
    write(
        package / "pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    if kind == "setup.cfg":
        write(package / "setup.cfg", "[metadata]\nname = mypkg\n")
    elif kind != "no name":
        write(package / "pyproject.toml", "[project]\nname = 'mypkg'\nversion = '1'\n", more=True)
    reference = write(tmp_path / "job" / "requirements.txt", "--no-index\n./mypkg\n")
    if kind.startswith(("pyproject", "uv")):
        reference = tmp_path / "job" / kind
        needs = "[project]\nname = 'job'\nversion = '1'\nrequires-python = '>=3.10'\ndependencies = ['mypkg']\n"
        uv = "[tool.uv]\nno-index = true\n[tool.uv.sources]\nmypkg = { path = 'mypkg' }\n"
        write(tmp_path / "job" / "pyproject.toml", needs + uv)
    if kind == "uv.lock":
        subprocess.run([uv_program(), "lock", "--quiet"], cwd=reference.parent, check=True, timeout=60)
    monday = make(str(reference))
    assert make(str(reference)).reused
    write(package / "mypkg.py", "print('tuesday')\n")
    tuesday = make(str(reference))
    assert tuesday.digest != monday.digest
    shutil.unpack_archive(tuesday.path, tmp_path / "out")
    (installed,) = (tmp_path / "out").rglob("site-packages/mypkg.py")
    assert installed.read_text() == "print('tuesday')\n"
