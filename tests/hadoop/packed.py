"""A small packed environment for tests: a venv of this Python with a module of its own, packed by hand."""

from __future__ import annotations

import os
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from knit_provider.yarn.files import archives


def pack(folder: Path, name: str, *, says: str = "", ballast: int = 0, sees: Sequence[str] = ()) -> Path:
    """Make ``<folder>/<name>.tar.gz``.

    Args:
        folder: where to work.
        name: of the environment.
        says: ``import told; told.WORDS`` in it.
        ballast: random bytes to add, which nothing compresses.
        sees: folders of this machine whose modules it imports too, as if they were packed.
    """
    prefix = folder / f"{name}-prefix"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(prefix)
    # A link to a link of another environment would lead nowhere on a node without that.
    python = prefix / "bin" / "python3"
    for link in (prefix / "bin").glob("python*"):
        link.unlink()
    python.symlink_to(os.path.realpath(sys.executable))
    (prefix / "bin" / "python").symlink_to("python3")
    if (prefix / "lib64").is_symlink():
        (prefix / "lib64").unlink()
    (site,) = prefix.glob("lib/python3*/site-packages")
    (site / "told.py").write_text(f"WORDS = {says or name!r}\n")
    (site / "seen.pth").write_text("".join(f"{folder}\n" for folder in sees))
    if ballast:
        (prefix / "ballast").write_bytes(os.urandom(ballast))
    archive = folder / f"{name}.tar.gz"
    archives.pack_folder(prefix, archive)
    return archive
