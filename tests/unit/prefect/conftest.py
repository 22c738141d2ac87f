"""Prefect keeps its hands off the home directory of who runs the tests."""

from __future__ import annotations

from tests.scratch import set_home

# Read when Prefect is first imported, so a fixture would come too late.
set_home("PREFECT_HOME")
