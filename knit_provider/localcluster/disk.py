"""Room on disk, looked at before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write at ``path``, or at the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def require_space(path: Path, needed: int, what: str) -> None:
    """Refuses to go on without room.

    Args:
        path: where it will be written.
        needed: bytes.
        what: what it is for, in words.

    Raises:
        ConfigurationError: there is less; the message names the path, what is there and what is needed.
    """
    free = free_bytes(path)
    if free < needed:
        raise ConfigurationError(
            f"The disk of {path} is full: {what} needs {needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free. "
            "Make room or choose another folder."
        )
