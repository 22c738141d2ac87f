"""Archives of any members: what is accepted leaves the world outside its folder alone when it is unpacked."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files import archives
from tests.fuzz.budget import refusal, tries
from tests.fuzz.corpus import files

part = st.sampled_from(["a", "b", "c", ".", ".."])
path = st.lists(part, min_size=1, max_size=4).map("/".join)
# Stands for a path out of the folder, which is another one in every run.
OUTSIDE = "/OUTSIDE"
target = st.one_of(path, path, st.just(OUTSIDE), st.sampled_from("abc").map(lambda p: f"{OUTSIDE}/{p}"))
member = st.tuples(st.sampled_from(["file", "folder", "link", "link", "hard"]), path, target)


def write_tar(to, members, outside):
    with tarfile.open(to, "w") as archive:
        for kind, name, goal in members:
            info = tarfile.TarInfo(name)
            info.type = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}.get(
                kind, tarfile.LNKTYPE
            )
            info.mode = 0o755
            if kind in ("link", "hard"):
                info.linkname = goal.replace(OUTSIDE, str(outside))
            info.size = 4 if kind == "file" else 0
            archive.addfile(info, io.BytesIO(b"evil"))


def write_zip(to, members, outside):
    with zipfile.ZipFile(to, "w") as archive:
        for kind, name, goal in members:
            info = zipfile.ZipInfo(f"{name}/" if kind == "folder" else name)
            mode = {"folder": stat.S_IFDIR, "link": stat.S_IFLNK}.get(kind, stat.S_IFREG)
            info.external_attr = (mode | 0o755) << 16
            archive.writestr(info, goal.replace(OUTSIDE, str(outside)) if kind == "link" else b"evil")


def seen(folder):
    """Everything in a folder, with its content."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else os.readlink(p) if p.is_symlink() else ""
        for p in sorted(folder.rglob("*"))
    }


def unpack(archive, folder):
    """Without any of the guards that Python's tarfile has."""
    with tarfile.open(archive) as opened:
        for info in opened:
            # A hard link to itself is what Python's own tarfile recurses on.
            with contextlib.suppress(OSError, KeyError, RecursionError, tarfile.TarError):
                opened.extract(info, folder, filter="fully_trusted")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", [".tar", ".zip"])
@pytest.mark.parametrize("is_environment", [False, True])
@tries(40)
@given(members=st.lists(member, min_size=1, max_size=6))
@example(members=[("link", "a", "."), ("link", "b", "a/.."), ("file", "b/c", "a")])
@example(members=[("link", "a", OUTSIDE), ("link", "b", "a"), ("file", "b/c", "a")])
@example(members=[("link", "a", OUTSIDE), ("file", "a", "a")])
@example(members=[("link", "a", f"{OUTSIDE}/a"), ("hard", "b", "a"), ("file", "b", "a")])
def test_what_is_accepted_stays_in_its_folder(kind, is_environment, members):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        outside = root / "outside"
        (outside / "a").mkdir(parents=True)
        (outside / "b").write_text("precious")
        # So deep that whatever gets out by links stays within the temporary folder.
        inside = root.joinpath("deep", *"123456789", "inside")
        inside.mkdir(parents=True)
        packed = root / f"packed{kind}"
        (write_zip if kind == ".zip" else write_tar)(packed, members, outside)
        refused = refusal(lambda: archives.scan(packed, kind, is_environment=is_environment), ConfigurationError)
        if refused is not None:
            assert str(packed) in str(refused)
            return
        if kind == ".zip":
            archives.zip_to_tar(packed, root / "packed.tar.gz")
            packed = root / "packed.tar.gz"
        before = seen(outside)
        unpack(packed, inside)
        assert seen(outside) == before
        assert {p.name for p in root.iterdir()} <= {"outside", "deep", "packed.tar", "packed.zip", "packed.tar.gz"}
        deep = [str(p.relative_to(root)) for p in (root / "deep").rglob("*") if inside not in (p, *p.parents)]
        assert deep == [str(p.relative_to(root)) for p in reversed(inside.parents) if (root / "deep") in p.parents]
        if not is_environment:
            for found in inside.rglob("*"):
                assert not found.is_symlink() or str(os.path.realpath(found)).startswith(str(inside.resolve()))


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", ".zip"])
@tries(40)
@given(content=st.binary(max_size=1500), at=st.integers(0, 1500), length=st.integers(0, 40))
def test_any_bytes(kind, content, at, length):
    """Garbage alone, and in the midst of a good archive."""
    good = io.BytesIO()
    if kind == ".zip":
        with zipfile.ZipFile(good, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in "ab":
                archive.writestr(name, b"text" * 20)
    else:
        with tarfile.open(fileobj=good, mode="w:gz" if kind == ".tar.gz" else "w") as archive:
            archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
            link = tarfile.TarInfo("l")
            link.type, link.linkname = tarfile.SYMTYPE, "a"
            archive.addfile(link)
    whole = good.getvalue()
    for candidate in (content, whole[:at] + content[:length] + whole[at + length :], whole[:at]):
        with tempfile.TemporaryDirectory() as name:
            packed = Path(name) / f"x{kind}"
            packed.write_bytes(candidate)
            with contextlib.suppress(ConfigurationError):
                archives.scan(packed, kind)
            with contextlib.suppress(ConfigurationError):
                archives.kind_by_content(packed)


@files("archives")
def test_the_corpus(path):
    kind = archives.kind_by_name(path.name)
    # An environment may have absolute links, and so is the harder one to look through.
    with pytest.raises(KnitError, match=path.name.replace(".", r"\.")):
        archives.scan(path, kind, is_environment=True)
