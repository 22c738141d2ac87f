"""Prefect keeps its hands off the home directory of who runs the tests."""

from __future__ import annotations

import os
import tempfile

# Read when Prefect is first imported, so a fixture would come too late.
os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="knit-test-prefect-"))
