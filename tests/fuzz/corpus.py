"""The seed corpus: small files that once broke something, or are of a kind that breaks such readers.

Each stands in ``corpus/README.md`` with its reason; what is made of bytes that no editor shows is made here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).with_name("corpus")


def files(kind: str) -> pytest.MarkDecorator:
    """Runs a test once for each file of a kind, as its parameter ``path``."""
    found = sorted((FOLDER / kind).iterdir())
    assert found, kind
    return pytest.mark.parametrize("path", found, ids=[path.name for path in found])
