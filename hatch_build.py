"""Puts the jar into every wheel and sdist: built by Maven where the source tree has none yet.

An sdist carries the built jar, so installing from one needs no Maven. ``KNIT_SKIP_JVM=1`` leaves the jar out, for who
sets ``knit_home`` to one of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = ("knit_provider/jars/knit.jar", "knit_provider/jars/knit-am.sh")


class JarBuildHook(BuildHookInterface):
    """Runs before hatchling collects the files of a wheel or an sdist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is missing.

        Args:
            version: ``"standard"``, or ``"editable"``, whose jar `make jar` keeps fresh in the source tree.
            build_data: hatchling's own; not changed.
        """
        root = Path(self.root)
        missing = [name for name in BUILT if not (root / name).is_file()]
        if not missing or version == "editable" or os.environ.get("KNIT_SKIP_JVM") == "1":
            return
        maven = shutil.which("mvn")
        if maven is None:
            raise RuntimeError(
                f"{missing[0]} is not there and Maven (`mvn`), which builds it, is not on PATH. Install Maven and a "
                "JDK, install knit-provider from its wheel or sdist, or set KNIT_SKIP_JVM=1 to build without the jar"
            )
        self.app.display_info("Building knit.jar with Maven")
        subprocess.run([maven, "-B", "-q", "-DskipTests", "package"], cwd=root, check=True)
        left = [name for name in BUILT if not (root / name).is_file()]
        if left:
            raise RuntimeError(f"Maven succeeded but left no {', '.join(left)}")
