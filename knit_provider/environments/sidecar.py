"""What is known of a built archive, in a small file beside it, so that nobody has to read the archive to know it."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from knit_provider.environments.model import PackedEnvironment

SUFFIX = ".json"


def sidecar_path(archive: str | os.PathLike[str]) -> Path:
    """Where an archive's sidecar lies."""
    return Path(f"{os.fspath(archive)}{SUFFIX}")


def write_sidecar(env: PackedEnvironment, at: Path | None = None) -> None:
    """Write down what is known of an archive that is complete; it is there whole or not at all.

    Args:
        env: the environment; its archive is there.
        at: another place than beside the archive.
    """
    status = os.stat(env.path)
    document = {**asdict(env), "mtime_ns": status.st_mtime_ns, "archive_size": status.st_size}
    target = at or sidecar_path(env.path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


def read_sidecar(path: str | os.PathLike[str], at: Path | None = None) -> PackedEnvironment | None:
    """What was written down of an archive.

    Args:
        path: the archive.
        at: another place than beside it.

    Returns:
        The environment, with ``path`` as it is now; None if nothing was written down, or the archive is another one
        than then (its size or time differ).
    """
    archive = Path(path).absolute()
    try:
        document = json.loads((at or sidecar_path(archive)).read_text(encoding="utf-8"))
        status = archive.stat()
        if document["mtime_ns"] != status.st_mtime_ns or document["archive_size"] != status.st_size:
            return None
        return replace(_environment(document), path=str(archive))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _environment(document: dict[str, Any]) -> PackedEnvironment:
    values = {field.name: document[field.name] for field in fields(PackedEnvironment) if field.name in document}
    for name in ("packages", "warnings"):
        values[name] = tuple(values.get(name, ()))
    return PackedEnvironment(**values)
