"""``CondaCreator``, as Knit had it; conda itself is not needed any more."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from knit_provider.environments.create import create
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.progress import Progress
from knit_provider.environments.sidecar import write_sidecar
from knit_provider.yarn.errors import EnvironmentBuildError

log = logging.getLogger(__name__)


class CondaCreator:
    """Makes conda environments and packs them for containers.

    Packages are solved for and linked by py-rattler, so there is nothing to download or install first. The same
    request is built once, and comes out of the local cache from then on.

    Args:
        conda_root: a conda installation, whose ``.condarc`` and environments count too; none is needed.
        conda_envs: folder to put the packed environments into; default the cache's own.
        miniconda_url: accepted for Knit's sake; no installer is downloaded.
        channels: names, URLs or folders, the first one counts most; default what the user's ``.condarc`` says, else
            ``conda-forge``.
        conda_pkgs: folder for unpacked packages; default in the cache.
        channel_alias: the server below which a channel's plain name lies; default ``https://conda.anaconda.org``.
        pinned: specs that hold for whatever gets installed, such as ``["python=3.11", "numpy<2"]``.
        cache_dir: the cache's folder; default ``~/.cache/knit-provider/envs``.
        conda_pars: any of these parameters by name, for those not given.
        progress: told of every stage; default bars on a terminal, log lines elsewhere.

    Example:
        >>> creator = CondaCreator(channels=["conda-forge"])
        >>> archive = creator.create_env("etl", packages=["python=3.11", "pandas"])
    """

    def __init__(
        self,
        conda_root: str | None = None,
        conda_envs: str | None = None,
        miniconda_url: str | None = None,
        channels: Iterable[str] | None = None,
        conda_pkgs: str | None = None,
        *,
        channel_alias: str | None = None,
        pinned: Iterable[str] = (),
        cache_dir: str | Path | None = None,
        conda_pars: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:
        given = {
            "conda_root": conda_root,
            "conda_envs": conda_envs,
            "miniconda_url": miniconda_url,
            "channels": channels if isinstance(channels, str) or channels is None else list(channels),
            "conda_pkgs": conda_pkgs,
            "channel_alias": channel_alias,
            "pinned": tuple(pinned),
        }
        self.pars: dict[str, Any] = {**given, **(conda_pars or {}), **{k: v for k, v in given.items() if v}}
        self.conda_root: str | None = self.pars["conda_root"]
        self.conda_envs: str | None = self.pars["conda_envs"]
        self.miniconda_url: str | None = self.pars["miniconda_url"]
        self.channels: list[str] | None = self.pars["channels"]
        self.conda_pkgs: str | None = self.pars["conda_pkgs"]
        self._cache_dir = cache_dir
        self._progress = progress
        if self.miniconda_url:
            log.info("miniconda_url=%r is not needed: no installer is downloaded", self.miniconda_url)

    def create_env(
        self,
        env_name: str,
        packages: Iterable[str] | None = None,
        remove: bool = False,
        *,
        format: str = "zip",  # noqa: A002 - the name that users know
        **options: Any,
    ) -> str:
        """Make an environment and pack it.

        Args:
            env_name: its name; letters, digits, ``.``, ``_`` and ``-``.
            packages: specs, such as ``["python=3.11", "pandas"]``; default just ``python``.
            remove: make it anew, whatever was made of this request before (default False).
            format: ``zip`` (default, as Knit had it), ``tar.gz`` or ``tar``, which are smaller: they keep links.
            options: as of :meth:`Knit.create_env <knit_provider.yarn.knit.Knit.create_env>`: ``file``, ``python``,
                ``ignore_editable``, ``ignore_missing``, ``refresh``.

        Returns:
            The archive's path; with ``conda_envs`` it lies there.

        Raises:
            EnvironmentBuildError: it cannot be built; the message has the reason.
        """
        env = create(
            env_name,
            packages,
            remove,
            conda_pars=self.pars,
            format=format,
            cache_dir=self._cache_dir,
            progress=self._progress,
            **options,
        )
        if not self.conda_envs:
            return env.path
        return self._placed(env, Path(self.conda_envs).expanduser().absolute() / f"{env.name}.{env.format}")

    def zip_env(self, env_path: str | os.PathLike[str], zip_path: str | os.PathLike[str] | None = None) -> str:
        """Pack an environment's folder.

        Args:
            env_path: the folder, of a conda or a virtual environment.
            zip_path: the archive to write, ``.zip``, ``.tar`` or ``.tar.gz``; default ``env_path`` + ``.zip``.

        Returns:
            The archive's path.

        Raises:
            EnvironmentBuildError: it is no environment, or conda's root, which is refused.
        """
        folder = Path(env_path).expanduser().absolute()
        target = Path(zip_path).expanduser().absolute() if zip_path is not None else Path(f"{folder}.zip")
        format_ = next((ending for ending in ("tar.gz", "tar", "zip") if target.name.endswith("." + ending)), None)
        if format_ is None:
            raise EnvironmentBuildError(f"zip_path={str(target)!r} has to end in .zip, .tar or .tar.gz")
        env = create(
            None, file=folder, conda_pars=self.pars, format=format_, cache_dir=self._cache_dir, progress=self._progress
        )
        return self._placed(env, target)

    def _placed(self, env: PackedEnvironment, target: Path) -> str:
        """A second name for a packed environment, or a copy on another filesystem."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (target.exists() and target.samefile(env.path)):
                temporary = target.with_name(f".{target.name}.{os.getpid()}")
                temporary.unlink(missing_ok=True)
                try:
                    os.link(env.path, temporary)
                except OSError:
                    shutil.copyfile(env.path, temporary)
                temporary.replace(target)
            write_sidecar(replace(env, path=str(target)))
        except OSError as error:
            raise EnvironmentBuildError(f"{target} cannot be written: {error.strerror or error}") from error
        return str(target)

    def __repr__(self) -> str:
        return f"<CondaCreator channels={self.channels!r} conda_envs={self.conda_envs!r}>"
