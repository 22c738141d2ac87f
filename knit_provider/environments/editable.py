"""Finds what an environment imports from outside itself: editable installations, which no node has."""

from __future__ import annotations

import json
import os
from pathlib import Path

from knit_provider.yarn.errors import EnvironmentBuildError


def editables(prefix: Path) -> dict[str, str]:
    """Names of editable distributions and where they lie.

    A ``.pth`` line that leads out of the environment counts too, under the file's name.
    """
    found: dict[str, str] = {}
    for packages in prefix.glob("lib/python*/site-packages"):
        covered: set[str] = set()
        for record in sorted(packages.glob("*.dist-info/direct_url.json")):
            try:
                document = json.loads(record.read_text())
            except (OSError, ValueError):
                continue
            if document.get("dir_info", {}).get("editable"):
                folder = str(document.get("url", "")).removeprefix("file://")
                found[record.parent.name.split("-")[0]] = folder
                covered.add(folder)
        for link in sorted(packages.glob("*.egg-link")):
            found[link.stem] = (link.read_text(errors="replace").splitlines() or [""])[0]
        for pth in sorted(packages.glob("*.pth")):
            for line in pth.read_text(errors="surrogateescape").splitlines():
                if not line.strip() or line.startswith(("#", "import ", "import\t")):
                    continue
                place = os.path.normpath(os.path.join(packages, line.rstrip()))
                inside = place == str(prefix) or place.startswith(f"{prefix}{os.sep}")
                if not inside and not any(place.startswith(folder) for folder in covered if folder):
                    found.setdefault(pth.name, place)
    return found


def check_editables(prefix: Path, ignore: bool) -> list[str]:
    """Refuse editable installations, or say what will be missing.

    Args:
        prefix: of the environment.
        ignore: go on without them.

    Returns:
        Warnings.

    Raises:
        EnvironmentBuildError: there are some, and ``ignore`` is False; the message names them.
    """
    found = editables(prefix)
    if not found:
        return []
    listed = ", ".join(f"{name} ({place})" for name, place in sorted(found.items()))
    if ignore:
        return [f"editable installations are not in the archive, and importing them fails in containers: {listed}"]
    raise EnvironmentBuildError(
        f"{prefix} has editable installations, whose code lies outside of it and would not be in the archive: "
        f"{listed}. Install them without -e, or go on without them with ignore_editable=True (--ignore-editable)"
    )
