"""``create_env``: from what a user says to a packed environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from knit_provider.environments.build import build
from knit_provider.environments.channels import Channels
from knit_provider.environments.find import conda_prefix
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.progress import Progress
from knit_provider.environments.sources import (
    CondaPackages,
    CondaPrefix,
    Source,
    UvRequirements,
    check_name,
    source_of,
)
from knit_provider.yarn.errors import EnvironmentBuildError

_CREATOR_PARS = {"conda_root", "conda_envs", "miniconda_url", "channels", "conda_pkgs", "channel_alias", "pinned"}


def create(
    env_name: str | None = None,
    packages: Iterable[str] | None = None,
    remove: bool = False,
    channels: Iterable[str] | None = None,
    conda_pars: Mapping[str, Any] | None = None,
    conda_root: str | None = None,
    *,
    file: str | Path | None = None,
    format: str = "tar.gz",  # noqa: A002 - the name that users know
    python: str = "",
    channel_alias: str | None = None,
    pinned: Iterable[str] = (),
    ignore_editable: bool = False,
    ignore_missing: bool = False,
    refresh: bool = False,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> PackedEnvironment:
    """Build an environment and pack it.

    Args:
        env_name: its name: ASCII letters, digits, ``.``, ``_`` and ``-``; may be left out with ``file``.
        packages: conda specs; default just ``python``.
        remove: as ``refresh``, which is what the seeds call it.
        channels: conda channels: names, URLs, folders; default what ``.condarc`` says, else ``conda-forge``.
        conda_pars: further parameters of :class:`CondaCreator`, by name.
        conda_root: a conda installation, whose ``.condarc`` and environments count too.
        file: built from this in place of packages: an ``environment.yml``, an explicit lock file,
            ``requirements.txt``, ``pyproject.toml``, ``uv.lock``, a packed archive, ``conda://PREFIX_OR_NAME``,
            ``venv://PREFIX`` or ``running``, the environment of this Python.
        format: ``tar.gz`` (default), ``tar`` or ``zip``.
        python: for requirements: a version or an interpreter; default the one that runs.
        channel_alias: the server of channels' plain names; default what ``.condarc`` says.
        pinned: specs that hold for whatever gets installed.
        ignore_editable, ignore_missing, refresh, cache_dir, progress: as of
            :func:`build <knit_provider.environments.build.build>`.

    Returns:
        All that is known of it; ``path`` is what ``Knit.create_env`` returns.

    Raises:
        EnvironmentBuildError: it cannot be built; the message has the reason.
        TypeError: ``conda_pars`` has a name that :class:`CondaCreator` does not know.
    """
    pars = dict(conda_pars or {})
    if unknown := sorted(set(pars) - _CREATOR_PARS):
        raise TypeError(f"conda_pars has {unknown[0]!r}; CondaCreator takes {', '.join(sorted(_CREATOR_PARS))}")
    root = conda_root or pars.get("conda_root")
    settings = Channels.here(Path(root).expanduser() if root else None, channel_alias or pars.get("channel_alias"))
    named = channels if channels is not None else pars.get("channels")
    if env_name is not None:
        check_name(env_name)
    if file is not None:
        if packages:
            raise EnvironmentBuildError("packages= and file= were both given; an environment is made from one of them")
        source = _from_file(str(file), named, settings, root, python)
        source = source if env_name is None else replace(source, name=env_name)
    else:
        if env_name is None:
            raise EnvironmentBuildError("an environment of packages needs a name: create_env('etl', packages=[...])")
        source = CondaPackages(
            name=env_name,
            packages=_specs(packages),
            channels=settings.urls(named),
            pinned=tuple(pinned or pars.get("pinned", ())),
        )
    return build(
        source,
        format=format,
        ignore_editable=ignore_editable,
        ignore_missing=ignore_missing,
        refresh=refresh or remove,
        cache_dir=Path(cache_dir).expanduser() if cache_dir is not None else None,
        packages_dir=Path(pars["conda_pkgs"]).expanduser() if pars.get("conda_pkgs") else None,
        progress=progress,
    )


def _specs(packages: Iterable[str] | None) -> tuple[str, ...]:
    if isinstance(packages, str):
        raise EnvironmentBuildError(f"packages={packages!r} is a text; give a list, such as [{packages!r}]")
    return tuple(packages or ()) or ("python",)


def _from_file(file: str, channels: Iterable[str] | None, settings: Channels, root: str | None, python: str) -> Source:
    if file.lower().startswith("conda://") and root and "/" not in file[len("conda://") :]:
        return CondaPrefix(
            file[len("conda://") :], str(conda_prefix(file[len("conda://") :], (Path(root).expanduser(),)))
        )
    source = source_of(file)
    if isinstance(source, CondaPackages) and channels is not None:
        return replace(source, channels=settings.urls(channels))
    if isinstance(source, UvRequirements) and python:
        return replace(source, python=python)
    return source
