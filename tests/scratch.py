"""Folders for what reads its own from the environment when it is imported, which is before any fixture."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def until_exit(prefix: str) -> Path:
    """A new folder, which goes when this process ends."""
    folder, made_by = Path(tempfile.mkdtemp(prefix=prefix)), os.getpid()

    def remove() -> None:
        # A child that was forked off inherits this, and ends sooner.
        if os.getpid() == made_by:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def set_home(variable: str) -> None:
    """Keeps hands off the home directory of who runs the tests: the variable names a new folder unless it is set."""
    if variable not in os.environ:
        os.environ[variable] = str(until_exit(f"knit-test-{variable.partition('_')[0].lower()}-"))
