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


_set: set[str] = set()


def set_home(variable: str) -> None:
    """Keeps hands off the configuration of who runs the tests, and that off the tests.

    Args:
        variable: ``AIRFLOW_HOME`` or ``PREFECT_HOME``. It names a new folder from then on, and what else the
            environment says to the same program is gone.
    """
    if variable in _set:
        return
    _set.add(variable)
    program = variable.partition("_")[0]
    for name in [name for name in os.environ if name.lstrip("_").startswith(program)]:
        del os.environ[name]
    os.environ[variable] = str(until_exit(f"knit-test-{program.lower()}-"))
