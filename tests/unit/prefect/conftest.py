"""Prefect keeps its hands off the home directory of who runs the tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Read when Prefect is first imported, so a fixture would come too late.
if "PREFECT_HOME" not in os.environ:
    os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="knit-test-prefect-")
    atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
