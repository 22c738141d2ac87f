"""The peers' Python environments, built once into ``benchmarks/.peers`` and again when their requirements change."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.registry import Entry

HERE = Path(__file__).parent
PEERS = HERE / ".peers"


class EnvironmentBroken(Exception):
    """A peer's environment cannot be built."""


def python_of(entry: Entry) -> Path:
    """The interpreter that a contestant runs with; builds its environment if need be.

    Each peer has an environment of its own: Knit 0.2.4 installs a top-level ``dask_yarn`` that others install too.

    Raises:
        EnvironmentBroken: with the last lines that pip said.
    """
    if not entry.requirements:
        return Path(sys.executable)
    requirements = HERE / "requirements" / entry.requirements
    folder = PEERS / entry.key
    stamp = folder / "built-from"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    python = folder / "bin" / "python"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        print(f"building the environment of {entry.title} ...", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)])
        stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-5:])
        raise EnvironmentBroken(f"{' '.join(command[1:4])} ended with {result.returncode}: {said}")
