"""Packs a conda environment's folder with conda-pack, into an archive of ours."""

from __future__ import annotations

import filecmp
import json
import os
import warnings
from pathlib import Path
from typing import Any

from knit_provider.environments.archive_file import ArchiveFile, files_below
from knit_provider.environments.bytecode import is_cached_bytecode
from knit_provider.environments.channels import without_secrets
from knit_provider.environments.editable import check_editables
from knit_provider.environments.leftovers import link_warnings, listed, prefix_warnings
from knit_provider.environments.optional import CONDA, require
from knit_provider.yarn.errors import EnvironmentBuildError

# It changes files in place, which nobody may do to an archive that containers share.
_UNPACKER = ("bin/conda-unpack", "bin/conda_unpack_progress.py")
_HISTORY = "conda-meta/history"  # every command ever, with the channels' passwords


def pack_conda(prefix: Path, archive: ArchiveFile, *, ignore_editable: bool, ignore_missing: bool) -> list[str]:
    """Pack all of an environment.

    Args:
        prefix: its folder.
        archive: where it goes.
        ignore_editable: go on where packages are installed from folders outside.
        ignore_missing: go on where files of packages were removed or replaced by another package manager.

    Returns:
        Warnings for the user.

    Raises:
        EnvironmentBuildError: the environment is not as conda left it, and that was not to be ignored.
    """
    core = require("conda_pack.core", CONDA, "packing a conda environment")
    said = check_editables(prefix, ignore_editable)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            env = core.CondaEnv.from_prefix(
                str(prefix), ignore_editable_packages=True, ignore_missing_files=ignore_missing
            )
    except core.CondaPackException as error:
        raise EnvironmentBuildError(_reason(prefix, str(error))) from error
    said += [_first_line(str(warning.message)) for warning in caught if warning.category is UserWarning]
    files = _settled(core, env.files, prefix)
    overwritten = [file.target for file in files if _is_overwritten(file, prefix)]
    if overwritten and not ignore_missing:
        raise EnvironmentBuildError(_reason(prefix, f"deleted/overwritten\n{listed(overwritten)}"))
    packer = core.Packer(env.prefix, _Adapter(archive))
    for file in files:
        if file.target in overwritten:
            file = core.File(os.path.join(prefix, file.target), file.target, is_conda=False, file_mode="unknown")
        packer.add(file)
    packer.finish()
    kept = {target: mode for target, placeholder, mode in packer.prefixes if placeholder != env.prefix}
    kept.update(archive.keeps_prefix)
    return [*said, *prefix_warnings(kept), *link_warnings(archive.outward, archive.broken)]


def _settled(core: Any, files: list[Any], prefix: Path) -> list[Any]:
    """In a fixed order, each target once, with what a later step of ours compiled."""
    by_target: dict[str, Any] = {}
    for file in files:
        if file.target in by_target:
            # Two packages have it, and one won: what lies in the environment counts.
            source = os.path.join(prefix, file.target)
            by_target[file.target] = core.File(source, file.target, is_conda=False, file_mode="unknown")
        else:
            by_target[file.target] = file
    for target in files_below(prefix / "lib"):
        target = f"lib/{target}"
        if is_cached_bytecode(target) and target not in by_target:
            by_target[target] = core.File(os.path.join(prefix, target), target, is_conda=False)
    there = (file for file in by_target.values() if os.path.lexists(file.source))
    return sorted(there, key=lambda file: str(file.target))


def _is_overwritten(file: Any, prefix: Path) -> bool:
    """Whether something else than conda's package lies in a package's file's place."""
    if not file.is_conda or file.file_mode is not None or file.target.endswith(".pyc"):
        return False
    there = os.path.join(prefix, file.target)
    if there == file.source or os.path.islink(there) or not (os.path.isfile(there) and os.path.isfile(file.source)):
        return False
    ours, theirs = os.stat(there), os.stat(file.source)
    if (ours.st_ino, ours.st_dev) == (theirs.st_ino, theirs.st_dev):
        return False
    return ours.st_size != theirs.st_size or not filecmp.cmp(there, file.source, shallow=False)


class _Adapter:
    """What conda-pack's packer writes to."""

    def __init__(self, archive: ArchiveFile) -> None:
        self._archive = archive

    def add(self, source: str, target: str) -> None:
        if target == _HISTORY:
            self._archive.add_bytes(source, b"", target)
        elif target not in _UNPACKER:
            self._archive.add(source, target)

    def add_bytes(self, source: str, data: bytes, target: str) -> None:
        if target.startswith("conda-meta/") and target.endswith(".json"):
            data = _plain_record(data)
        self._archive.add_bytes(source, data, target)


def _plain_record(data: bytes) -> bytes:
    """A package's record without what the build's folder and the channel's password left in it."""
    record = json.loads(data)
    for entry in record.get("paths_data", {}).get("paths", []):
        # Of files as they were in the build's folder, whose path is in some of them.
        entry.pop("sha256_in_prefix", None)
        entry.pop("size_in_bytes", None)
        if entry.get("path_type") in ("unix_python_entry_point", "pyc_file"):
            entry.pop("sha256", None)
    for field in ("url", "channel"):
        if isinstance(record.get(field), str):
            record[field] = without_secrets(record[field])
    if isinstance(record.get("link"), dict):
        record["link"] = {"source": "", "type": 1}
    return json.dumps(record, indent=1, sort_keys=True).encode()


def _reason(prefix: Path, text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "deleted/overwritten" not in text:
        return f"{prefix} cannot be packed: {' '.join(lines)}"
    named = "; ".join(line.removeprefix("- ") for line in lines if line.startswith(("-", "+")) or "/" in line)
    return (
        f"{prefix} is not as conda left it: another package manager (pip, mostly) removed or replaced files of: "
        f"{named}. Install each package by one manager only, or go on with what is there: ignore_missing=True "
        "(--ignore-missing)"
    )


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and "package cache" in text:
        named = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
        return (
            f"conda's package cache has lost {len(named)} packages of it, so what names the build's path in them was "
            "looked for in the files themselves"
        )
    return " ".join(lines)
