"""What a user installs: the wheel, in an environment of its own, away from the source tree."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.bridge.app import Application

ROOT = Path(__file__).resolve().parents[3]
JARS = ("knit_provider/jars/knit.jar", "knit_provider/jars/knit-am.sh")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | environment
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(found).is_file():
        pytest.skip("uv is not installed; `make setup` installs it")
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not all((ROOT / jar).is_file() for jar in JARS):
        pytest.skip("the jar is not built; `make jar` builds it")
    out = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--quiet", "--wheel", "--out-dir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_it_holds_the_package_and_the_jar_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert set(JARS) <= set(names)
    assert {name.partition("/")[0] for name in names} == {"knit_provider", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    assert wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.timeout(300)
def test_it_works_in_an_environment_of_its_own(uv: str, wheel: Path, tmp_path: Path) -> None:
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    binaries = tmp_path / "venv" / "bin"
    run(uv, "pip", "install", "--quiet", "--python", binaries / "python", wheel, cwd=tmp_path)
    version = run(binaries / "knit", "--version", cwd=tmp_path).strip()
    assert version.endswith(wheel.name.split("-")[1])
    code = (
        "import knit_provider, sys; from importlib.resources import files; "
        "names = [getattr(knit_provider, n) for n in knit_provider.__all__]; "
        "assert (files('knit_provider') / 'jars' / 'knit.jar').is_file(); "
        "import knit_provider.provider_info; "
        "error = None\ntry: knit_provider.DaskYARNCluster\nexcept ImportError as e: error = str(e)\n"
        "assert 'knit-provider[dask]' in error; "
        "print(knit_provider.__file__, *sorted({'airflow', 'prefect', 'distributed'} & set(sys.modules)))"
    )
    assert run(binaries / "python", "-c", code, cwd=tmp_path).split() == [
        str(next((tmp_path / "venv" / "lib").glob("python3*/site-packages")) / "knit_provider" / "__init__.py")
    ]


@pytest.mark.parametrize(
    ("jar_there", "version", "skip", "builds"),
    [
        (False, "standard", "", True),
        (True, "standard", "", False),
        (False, "editable", "", False),
        (False, "standard", "1", False),
    ],
)
def test_maven_runs_only_where_the_jar_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jar_there: bool, version: str, skip: str, builds: bool
) -> None:
    project = tmp_path / "project"
    (project / "knit_provider" / "jars").mkdir(parents=True)
    if jar_there:
        for jar in JARS:
            (project / jar).write_text("built")
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\ntouch called " + " ".join(JARS) + "\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("KNIT_SKIP_JVM", skip)
    hook = load_hook(project)
    hook.initialize(version, {})
    assert (project / "called").exists() is builds


def test_without_maven_the_build_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KNIT_SKIP_JVM", raising=False)
    with pytest.raises(RuntimeError, match="Install Maven"):
        load_hook(tmp_path).initialize("standard", {})


def load_hook(root: Path):  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.JarBuildHook(str(root), {}, None, None, str(root), "wheel", Application())
