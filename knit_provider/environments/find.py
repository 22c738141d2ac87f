"""Conda environments of this machine, found without running conda."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from knit_provider.yarn.errors import EnvironmentBuildError


def conda_prefix(reference: str, roots: tuple[Path, ...] = ()) -> Path:
    """The folder of a conda environment.

    Args:
        reference: its path (``/``, ``~`` or ``.`` first), or its name.
        roots: installations to look into first.

    Raises:
        EnvironmentBuildError: there is none; for a name, the message has those that there are.
    """
    if reference.startswith(("/", "~", ".")) or os.sep in reference:
        prefix = Path(reference).expanduser().absolute()
        if not (prefix / "conda-meta").is_dir():
            missing = "is no conda environment (it has no conda-meta)" if prefix.is_dir() else "does not exist"
            raise EnvironmentBuildError(f"{prefix} {missing}. A virtual environment is venv://{prefix}")
        return prefix
    known: dict[str, Path] = {}
    for prefix in environments(os.environ, roots):
        known.setdefault(prefix.name, prefix)
    if reference not in known:
        raise EnvironmentBuildError(
            f"there is no conda environment {reference!r} here; there are: {', '.join(sorted(known)) or 'none'}. Give "
            "its path instead: conda:///path/to/it"
        )
    return known[reference]


def environments(environ: Mapping[str, str], roots: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Prefixes of all conda environments that conda itself would list."""
    folders = [root / "envs" for root in roots]
    folders += [Path(text).expanduser() for text in environ.get("CONDA_ENVS_PATH", "").split(os.pathsep) if text]
    for variable, levels in (("CONDA_EXE", 2), ("MAMBA_EXE", 2)):
        if environ.get(variable):
            folders.append(Path(environ[variable]).parents[levels - 1] / "envs")
    if environ.get("MAMBA_ROOT_PREFIX"):
        folders.append(Path(environ["MAMBA_ROOT_PREFIX"]) / "envs")
    home = Path(environ.get("HOME") or Path.home())
    folders.append(home / ".conda" / "envs")
    if environ.get("CONDA_PREFIX"):
        yield Path(environ["CONDA_PREFIX"])
    for folder in folders:
        if folder.is_dir():
            yield from sorted(prefix for prefix in folder.iterdir() if (prefix / "conda-meta").is_dir())
    register = home / ".conda" / "environments.txt"
    if register.is_file():
        for line in register.read_text(errors="surrogateescape").splitlines():
            if line.strip() and (Path(line.strip()) / "conda-meta").is_dir():
                yield Path(line.strip())


def refuse_root(prefix: Path) -> None:
    """Refuse conda's own installation.

    Raises:
        EnvironmentBuildError: it is one: it holds all other environments and every package ever unpacked.
    """
    # An environment may have conda in it as any package; only a root has the package cache beside that. A root of
    # micromamba has no conda.
    if (prefix / "envs").is_dir() or ((prefix / "pkgs").is_dir() and (prefix / "condabin").is_dir()):
        raise EnvironmentBuildError(
            f"{prefix} is the root environment of a conda installation: it holds conda itself, every other environment "
            "(envs/) and the package cache (pkgs/), and none of that belongs into a container. Make an environment for "
            "the job (conda create -n NAME ...) and give that one, or name packages"
        )
