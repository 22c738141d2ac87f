"""Digests that outlive a process."""

from __future__ import annotations

import os
import stat
import zipfile

import pytest

from knit_provider.yarn.files import memo as memo_module
from knit_provider.yarn.files.local import Digests, LocalContent
from knit_provider.yarn.files.memo import Facts, Memo


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(memo_module, "LARGE", 100)
    path = tmp_path / "env.tar.gz"
    path.write_bytes(b"x" * 1000)
    os.utime(path, (1_000_000, 1_000_000))
    return path


@pytest.fixture
def reads(monkeypatch):
    """How often a file was read."""
    found = []
    original = LocalContent.read
    monkeypatch.setattr(LocalContent, "read", lambda self, size=-1: found.append(1) or original(self, size))
    return found


def test_a_later_process_does_not_read_the_file_again_until_it_changes(tmp_path, path, reads):
    folder = tmp_path / "notes"
    first = Digests(Memo(folder)).of(path)
    assert Digests(Memo(folder)).of(path) == first
    assert len(reads) == 1
    for change in (lambda: path.write_bytes(b"y" * 1000), lambda: path.write_bytes(b"y" * 999)):
        change()
        os.utime(path, (1_000_000, 1_000_000 + len(reads)))
        assert Digests(Memo(folder)).of(path) != first
    path.write_bytes(b"x" * 1000)
    os.utime(path, (1_000_000, 1_000_000))
    copy = tmp_path / "copy"
    copy.write_bytes(b"z" * 1000)
    os.utime(copy, (1_000_000, 1_000_000))
    os.replace(copy, path)
    assert Digests(Memo(folder)).of(path) != first, "another inode"


def test_notes_are_private_and_those_of_others_or_damaged_ones_do_not_count(tmp_path, path, reads):
    folder = tmp_path / "notes"
    digests = Digests(Memo(folder))
    first = digests.of(path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (note,) = folder.iterdir()
    note.write_text("{")
    assert Digests(Memo(folder)).of(path) == first
    assert len(reads) == 2
    folder.chmod(0o777)
    note.unlink()
    assert Digests(Memo(folder)).of(path) == first
    assert list(folder.iterdir()) == [], "whoever may write there could have written anything"


def test_without_a_place_for_notes_files_are_read(path, tmp_path, reads):
    (tmp_path / "file").touch()
    blocked = Digests(Memo(tmp_path / "file" / "notes"))
    assert blocked.of(path) == Digests().of(path)


def test_what_a_zip_is_shipped_as_is_remembered(tmp_path, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "x" * 200)
    os.utime(path, (1_000_000, 1_000_000))
    Digests(Memo(tmp_path / "notes")).learn(path, "d", ("e", 7))
    assert Digests(Memo(tmp_path / "notes")).facts(path) == Facts("d", ("e", 7))
