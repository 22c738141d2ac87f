"""The corpus itself."""

from __future__ import annotations

from tests.fuzz.corpus import FOLDER


def test_every_file_has_its_reason():
    reasons = (FOLDER / "README.md").read_text()
    files = [path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file()]
    missing = [name for name in files if name != "README.md" and f"`{name}`" not in reasons]
    assert not missing
    assert max((FOLDER / name).stat().st_size for name in files) < 64 * 1024
