"""Libraries that come with an extra: imported when they are needed, with an error that says how to get them."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import Any

from knit_provider.yarn.errors import EnvironmentBuildError

CONDA = "conda"
ENVIRONMENTS = "environments"


def require(module: str, extra: str, why: str) -> Any:
    """Import an optional library.

    Args:
        module: as in ``import``.
        extra: the extra of knit-provider that brings it.
        why: what it is needed for, in words.

    Raises:
        EnvironmentBuildError: it is not installed, or cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise EnvironmentBuildError(
            f"{why} needs {module.partition('.')[0]} ({error}). Install it with: pip install 'knit-provider[{extra}]'"
        ) from error


def uv_program() -> str:
    """The ``uv`` program: the installed package's, else the one on PATH.

    Raises:
        EnvironmentBuildError: there is none.
    """
    try:
        found = import_module("uv").find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise EnvironmentBuildError(
            "building from requirements needs uv, which is neither installed nor on PATH. Install it with: "
            f"pip install 'knit-provider[{ENVIRONMENTS}]'"
        )
    return str(found)
