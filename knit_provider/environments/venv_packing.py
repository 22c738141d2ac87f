"""Packs a virtual environment's folder with venv-pack, into an archive of ours."""

from __future__ import annotations

import configparser
from pathlib import Path
from types import SimpleNamespace

from knit_provider.environments.archive_file import ArchiveFile, files_below
from knit_provider.environments.editable import check_editables
from knit_provider.environments.leftovers import link_warnings, prefix_warnings
from knit_provider.environments.optional import ENVIRONMENTS, require

# Made anew by venv-pack, for any place; uv_cache.json holds the time of the installation.
_LEFT_OUT = {"bin/activate", "bin/activate.csh", "bin/activate.fish", "bin/activate.nu", "bin/deactivate"}
_LEFT_OUT |= {"bin/Activate.ps1", "bin/activate.ps1", "bin/activate.bat", "bin/deactivate.bat", "bin/pydoc.bat"}


def pack_venv(prefix: Path, archive: ArchiveFile, *, ignore_editable: bool) -> list[str]:
    """Pack all of a virtual environment.

    Args:
        prefix: its folder.
        archive: where it goes.
        ignore_editable: go on where packages are installed from folders outside.

    Returns:
        Warnings for the user.

    Raises:
        EnvironmentBuildError: it has editable installations, and they were not to be ignored.
    """
    # Its list of files has what lib64 links to a second time, and refuses harmless .pth files; so that is ours.
    core = require("venv_pack.core", ENVIRONMENTS, "packing a virtual environment")
    said = check_editables(prefix, ignore_editable)
    if system_packages(prefix):
        said.append(
            "it was made with --system-site-packages: what it uses of the system's Python has to be on every node"
        )
    packer = core.Packer(_context(prefix), archive, None)
    for target in files_below(prefix):
        if target not in _LEFT_OUT and not target.endswith("/uv_cache.json"):
            packer.add(core.File(str(prefix / target), target))
    packer.finish()
    kept = dict(archive.keeps_prefix)
    kept.pop("pyvenv.cfg", None)  # it records how the environment was made
    return [*said, *prefix_warnings(kept), *link_warnings(archive.outward, archive.broken)]


def _context(prefix: Path) -> SimpleNamespace:
    """What its packer wants to know. Its own reader fails on some lines of ``pyvenv.cfg``."""
    library = next((path.name for path in sorted(prefix.glob("lib/python*"))), "python3")
    home = settings(prefix).get("home", "")
    return SimpleNamespace(
        kind="venv",
        prefix=str(prefix),
        orig_prefix=str(Path(home).parent),
        py_lib=f"lib/{library}",
        py_include=f"include/{library}",
    )


def settings(prefix: Path) -> dict[str, str]:
    """What ``pyvenv.cfg`` says."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string("[venv]\n" + (prefix / "pyvenv.cfg").read_text(errors="replace"))
    except (OSError, configparser.Error):
        return {}
    return dict(parser["venv"])


def system_packages(prefix: Path) -> bool:
    """Whether it sees the packages of the Python that it was made from."""
    return settings(prefix).get("include-system-site-packages", "false").lower() == "true"
