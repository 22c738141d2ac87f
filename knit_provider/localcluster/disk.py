"""Room on disk, looked at before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knit_provider.yarn.errors import ConfigurationError, KnitError


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


@contextmanager
def disk_errors(path: Path, what: str) -> Iterator[None]:
    """Turns what the disk refuses inside the block into an error that names the path.

    Args:
        path: where the block writes.
        what: what it is for, in words.

    Raises:
        ConfigurationError: the disk is full, read-only, not ours...
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, KnitError):
            raise
        raise ConfigurationError(
            f"{what} cannot be written to {path}: {error}. Make room or choose another folder."
        ) from error
