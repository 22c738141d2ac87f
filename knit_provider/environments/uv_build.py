"""Installs requirements with uv, into a virtual environment of its own or into a conda one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from knit_provider.environments.bytecode import compile_all
from knit_provider.environments.channels import without_secrets
from knit_provider.environments.local_sources import LocalSources
from knit_provider.environments.optional import uv_program
from knit_provider.environments.progress import Progress
from knit_provider.environments.sources import UvRequirements
from knit_provider.yarn.errors import EnvironmentBuildError

TIMEOUT = 3600.0


def make_venv(source: UvRequirements, prefix: Path, progress: Progress) -> None:
    """Make a virtual environment with what a file asks for.

    A ``uv.lock`` is installed as it is, never changed. Of a ``pyproject.toml`` without one, the newest versions that
    fit are taken. The project itself is installed too if it has a build system.

    Raises:
        EnvironmentBuildError: uv could not; the message has its reason.
    """
    uv = uv_program()
    file = Path(source.file)
    python, anew = source.python or sys.executable, _built_anew(LocalSources.of_file(file))
    with progress.stage("install"):
        # The scripts find their interpreter beside themselves, wherever that is.
        _run([uv, "venv", "--quiet", "--relocatable", "--no-project", "--python", python, str(prefix)], file.parent)
        own = prefix / "bin" / "python"
        lock = file.parent / "uv.lock"
        if file.name in ("uv.lock", "pyproject.toml") and lock.exists():
            command = [uv, "sync", "--quiet", "--frozen", "--no-dev", "--no-editable", "--link-mode", "copy", *anew]
            _run([*command, "--active", "--project", str(file.parent)], file.parent, {"VIRTUAL_ENV": str(prefix)})
        elif file.name == "pyproject.toml":
            has_build = "[build-system]" in file.read_text(encoding="utf-8")
            _pip(uv, own, [*anew, *([str(file.parent)] if has_build else ["-r", str(file)])], file.parent)
        else:
            _pip(uv, own, [*anew, "-r", str(file)], file.parent)
    _compile(prefix, own, progress)


def install(python: Path, requirements: Sequence[str], folder: str, work: Path, progress: Progress) -> None:
    """Install pip requirements beside what an environment has.

    Args:
        python: the environment's.
        requirements: lines as of a requirements file.
        folder: where relative paths in them begin.
        work: a folder for the file that they are written into. Everybody on the machine can read a command line, and a
            line may have a password.
        progress: told of the stage.

    Raises:
        EnvironmentBuildError: uv could not; the message has its reason.
    """
    file = work / "requirements.txt"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as lines:
        lines.writelines(f"{line}\n" for line in requirements)
    with progress.stage("install"):
        anew = _built_anew(LocalSources.of_lines(requirements, folder))
        _pip(uv_program(), python, [*anew, "-r", str(file)], Path(folder or work))


def _built_anew(local: LocalSources) -> list[str]:
    """Options that let uv build folders of this machine.

    What it built of one before it takes again until ``pyproject.toml`` changes, though the code may have changed.
    """
    names = set(local.projects.values())
    # Reinstalling builds anew, and goes together with UV_OFFLINE, which refreshing does not.
    anew = [f"--reinstall-package={name}" for name in sorted(names - {""})]
    return ["--refresh", *anew] if "" in names else anew


def _pip(uv: str, python: Path, arguments: list[str], folder: Path) -> None:
    command = [uv, "pip", "install", "--quiet", "--link-mode", "copy", "--python", str(python)]
    _run([*command, "--break-system-packages", *arguments], folder)


def _run(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**environment, "NO_COLOR": "1", **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentBuildError(f"uv could not be run: {error}") from error
    if done.returncode:
        said = re.sub(r"[a-z]+://[^\s'\"`)]+", lambda found: without_secrets(found.group()), done.stderr.strip())
        raise EnvironmentBuildError(f"uv could not install what is asked for:\n{said[-4000:]}")


def _compile(prefix: Path, python: Path, progress: Progress) -> None:
    sources = [str(path.relative_to(prefix)) for path in prefix.glob("lib/python*/site-packages/**/*.py")]
    compile_all(prefix, python, sources, progress)
