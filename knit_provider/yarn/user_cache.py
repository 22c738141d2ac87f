"""The user's folder of what can be made again: ``$XDG_CACHE_HOME/knit-provider``, by default below ``~/.cache``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str], name: str) -> Path:
    """A folder in the user's cache, which need not be there.

    Args:
        environ: says where the cache is (``XDG_CACHE_HOME``, else ``HOME``).
        name: the folder's.
    """
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "knit-provider" / name


def private_folder(environ: Mapping[str, str], name: str) -> Path | None:
    """A folder in the user's cache that nobody else can write to, made if need be; ``None`` where that cannot be.

    Raises:
        OSError: it can be neither made nor looked at.
    """
    folder = cache_folder(environ, name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    # Who can write there decides what runs as the user.
    safe = status.st_uid == os.geteuid() and not status.st_mode & 0o022 and os.access(folder, os.W_OK)
    return folder if safe else None
