"""What an environment can be built from, and how a user names it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from knit_provider.environments.find import conda_prefix, refuse_root
from knit_provider.yarn.errors import EnvironmentBuildError
from knit_provider.yarn.files.archives import kind_by_name
from knit_provider.yarn.spec.environment import is_local, local_path

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class CondaPackages:
    """Conda packages that are to be solved for and linked.

    Attributes:
        name: of the environment.
        packages: specs, such as ``pandas``, ``python=3.11`` or ``conda-forge::numpy>=2``.
        channels: URLs, the first one counts most.
        pinned: specs that hold for whatever gets installed, without asking for it.
        pip: lines as of a requirements file, which uv installs into it afterwards.
        platform: conda's name of the platform; ``""`` is this machine's.
        folder: where relative paths in ``pip`` begin; ``""`` if there are none.
    """

    name: str
    packages: tuple[str, ...]
    channels: tuple[str, ...]
    pinned: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    platform: str = ""
    folder: str = field(default="", compare=False)


@dataclass(frozen=True)
class CondaLock:
    """Conda packages by their very URLs: nothing is solved.

    Attributes:
        name: of the environment.
        urls: with ``#md5`` or ``#sha256:`` behind them where the lock file has digests.
        platform: conda's name of the platform, ``""`` if the lock does not say.
    """

    name: str
    urls: tuple[str, ...]
    platform: str = ""


@dataclass(frozen=True)
class CondaPrefix:
    """A conda environment that is there already.

    Attributes:
        name: of the environment.
        prefix: its folder.
        kind: ``prefix``, or ``running`` for the one that this Python runs in.
    """

    name: str
    prefix: str
    kind: Literal["prefix", "running"] = "prefix"


@dataclass(frozen=True)
class VenvPrefix:
    """A virtual environment that is there already; attributes as of :class:`CondaPrefix`."""

    name: str
    prefix: str
    kind: Literal["venv", "running"] = "venv"


@dataclass(frozen=True)
class UvRequirements:
    """Requirements that uv installs into a new virtual environment.

    Attributes:
        name: of the environment.
        file: a ``requirements.txt``, ``pyproject.toml`` or ``uv.lock``.
        python: a version or an interpreter, as ``uv --python`` takes it; ``""`` is this Python.
    """

    name: str
    file: str
    python: str = ""


@dataclass(frozen=True)
class ReadyArchive:
    """An archive that something else packed; it is looked through and used as it is."""

    name: str
    path: str


Source: TypeAlias = CondaPackages | CondaLock | CondaPrefix | VenvPrefix | UvRequirements | ReadyArchive


def source_of(reference: str) -> Source:
    """What a user's words name.

    Args:
        reference: ``conda://PREFIX_OR_NAME``; ``venv://PREFIX``; ``running``, the environment of this Python; or the
            path of an ``environment.yml``, an explicit lock file, a ``requirements.txt``, ``pyproject.toml``,
            ``uv.lock``, a packed archive or an environment's folder.

    Raises:
        EnvironmentBuildError: there is no such thing, or it is not to be packed; the message says which.
    """
    if reference == "running":
        return running_environment()
    scheme, found, rest = reference.partition("://")
    if found and scheme.lower() == "conda":
        return _conda_prefix(conda_prefix(rest))
    if found and scheme.lower() == "venv":
        return _venv(Path(rest).expanduser())
    if not is_local(reference):
        raise EnvironmentBuildError(
            f"{reference} is not on this machine, so there is nothing to build; give it to env= as it is"
        )
    path = local_path(reference).absolute()
    if not path.exists():
        raise EnvironmentBuildError(
            f"there is no {path}. An environment by its name is conda://NAME, packages are packages=[...]"
        )
    return _folder(path) if path.is_dir() else _file(path)


def running_environment() -> Source:
    """The environment that this Python runs in.

    Raises:
        EnvironmentBuildError: it runs in none, or in conda's root.
    """
    prefix = Path(sys.prefix)
    if (prefix / "conda-meta").is_dir():
        refuse_root(prefix)
        return CondaPrefix(safe_name(prefix.name), str(prefix), "running")
    if sys.prefix != sys.base_prefix and (prefix / "pyvenv.cfg").is_file():
        return VenvPrefix(_venv_name(prefix), str(prefix), "running")
    raise EnvironmentBuildError(
        f"this Python ({sys.prefix}) is the system's own, and not an environment that could be packed: it holds what "
        "this machine needs. Make a venv or a conda environment and run in that, or name packages"
    )


def check_name(name: str) -> str:
    """A name that a user gave, if it can stand in a file's name everywhere.

    Raises:
        EnvironmentBuildError: it cannot; the message has one that can.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise EnvironmentBuildError(
            f"env_name={name!r} cannot be an archive's name on every node: use up to 100 letters (ASCII), digits, "
            f"'.', '_' and '-', such as {safe_name(str(name))!r}"
        )
    return name


def safe_name(text: str) -> str:
    """A name made of another one, such as a folder's, with what is odd replaced."""
    return _ODD.sub("_", text).strip("._-")[:100] or "environment"


def _conda_prefix(prefix: Path) -> CondaPrefix:
    refuse_root(prefix)
    return CondaPrefix(safe_name(prefix.name), str(prefix))


def _venv(prefix: Path) -> VenvPrefix:
    prefix = prefix.absolute()
    if not (prefix / "pyvenv.cfg").is_file():
        raise EnvironmentBuildError(f"{prefix} is no virtual environment: it has no pyvenv.cfg")
    return VenvPrefix(_venv_name(prefix), str(prefix))


def _venv_name(prefix: Path) -> str:
    """The folder's name; the project's for the usual ``.venv``."""
    return safe_name(prefix.parent.name if prefix.name in (".venv", "venv", "env") else prefix.name)


def _folder(path: Path) -> Source:
    if (path / "conda-meta").is_dir():
        return _conda_prefix(path)
    if (path / "pyvenv.cfg").is_file():
        return _venv(path)
    for name in ("uv.lock", "pyproject.toml"):
        if (path / name).is_file():
            return _file(path / name)
    raise EnvironmentBuildError(
        f"{path} is neither a conda environment (it has no conda-meta) nor a virtual one (no pyvenv.cfg), and no "
        "project (no pyproject.toml)"
    )


def _file(path: Path) -> Source:
    from knit_provider.environments.conda_files import read_environment_file, read_explicit_lock

    if kind_by_name(path.name):
        name = re.sub(r"\.(zip|tar|tar\.gz|tgz)$", "", path.name, flags=re.IGNORECASE)
        return ReadyArchive(safe_name(name), str(path))
    if path.suffix in (".yml", ".yaml"):
        return read_environment_file(path)
    if path.name in ("uv.lock", "pyproject.toml"):
        return UvRequirements(safe_name(path.parent.name), str(path))
    if path.suffix in (".txt", ".in", ".lock"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise EnvironmentBuildError(f"{path} cannot be read: {error}") from error
        if re.search(r"^@EXPLICIT\s*$", text, re.MULTILINE):
            return read_explicit_lock(path, text)
        return UvRequirements(safe_name(path.parent.name), str(path))
    raise EnvironmentBuildError(
        f"{path} is nothing that an environment is built from: environment.yml, an explicit lock file (@EXPLICIT), "
        "requirements.txt, pyproject.toml, uv.lock, or an archive (.tar.gz, .tar, .zip)"
    )
