"""Archives as bytes: order, links, modes, sizes; and archives of others, which may be anything."""

from __future__ import annotations

import io
import os
import py_compile
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from knit_provider.environments import archive_file
from knit_provider.environments.archive_file import ArchiveFile, files_below
from knit_provider.environments.build import build
from knit_provider.environments.gzipping import ParallelGzip
from knit_provider.environments.sidecar import read_sidecar, sidecar_path
from knit_provider.yarn.errors import EnvironmentBuildError

from .conftest import Record, unpack


def pack(prefix: Path, target: Path, format: str) -> ArchiveFile:
    archive = ArchiveFile(target, format, prefix, Record())
    for name in files_below(prefix):
        archive.add(str(prefix / name), name)
    archive.close()
    return archive


@pytest.fixture
def prefix(tmp_path) -> Path:
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "empty").mkdir()
    (prefix / "bin/run").write_text("#!/bin/sh\n")
    (prefix / "bin/run").chmod(0o4775)
    (prefix / "bin/again").symlink_to(prefix / "bin/run")
    (prefix / "lib").mkdir()
    (prefix / "lib/data").write_bytes(os.urandom(3_000_000) + str(prefix).encode() + b"\0")
    (prefix / "lib64").symlink_to("lib")
    (prefix / "share").symlink_to("lib")
    (prefix / "ünïcode name").write_text("x")
    return prefix


def test_a_tar_keeps_links_and_what_is_executable(prefix, tmp_path) -> None:
    packed = pack(prefix, tmp_path / "a.tar.gz", "tar.gz")
    home = unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert os.readlink(home / "bin/again") == "run"  # it named the build's folder
    assert os.readlink(home / "lib64") == "lib"
    assert stat.S_IMODE((home / "bin/run").stat().st_mode) == 0o755
    assert (home / "lib/data").read_bytes() == (prefix / "lib/data").read_bytes()
    assert (home / "ünïcode name").read_text() == "x"
    assert (home / "empty").is_dir()
    assert packed.keeps_prefix == {"lib/data": "binary"}
    assert packed.size == (tmp_path / "a.tar.gz").stat().st_size


def test_a_zip_holds_copies_where_links_are(prefix, tmp_path) -> None:
    pack(prefix, tmp_path / "a.zip", "zip")
    home = unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not os.path.islink(home / "bin/again")
    assert os.access(home / "bin/again", os.X_OK)
    assert (home / "share/data").read_bytes() == (prefix / "lib/data").read_bytes()
    # A venv's lib64 is all packages a second time, which Python looks for only where its own library is in lib64.
    assert (home / "lib64").exists() == (sys.platlibdir == "lib64")
    (prefix / "lib" / "round").symlink_to("..")
    with pytest.raises(EnvironmentBuildError, match="would have no end"):
        pack(prefix, tmp_path / "b.zip", "zip")


@pytest.mark.parametrize("format", ["tar.gz", "tar", "zip"])
def test_bytes_do_not_depend_on_times_modes_or_cores(prefix, tmp_path, format, monkeypatch) -> None:
    first = pack(prefix, tmp_path / "a", format)
    for name in files_below(prefix):
        os.utime(prefix / name, (1e9, 1e9), follow_symlinks=False)
    (prefix / "lib/data").chmod(0o600)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4})
    assert pack(prefix, tmp_path / "b", format).digest == first.digest


def test_gzip_by_blocks_is_one_plain_gzip_member() -> None:
    import zlib

    data = os.urandom(1 << 20) + b"x" * (5 << 20)
    out = io.BytesIO()
    packer = ParallelGzip(out, 4)
    for start in range(0, len(data), 70_000):
        packer.write(data[start : start + 70_000])
    packer.close()
    one = zlib.decompressobj(31)
    assert one.decompress(out.getvalue()) == data
    assert one.eof
    assert one.unused_data == b""


def test_a_zip_of_more_files_than_sixteen_bits_count(tmp_path) -> None:
    source = tmp_path / "empty"
    source.write_bytes(b"")
    archive = ArchiveFile(tmp_path / "many.zip", "zip", tmp_path, Record())
    for number in range(65_600):
        archive.add_bytes(str(source), b"", f"lib/f{number}")
    archive.close()
    with zipfile.ZipFile(tmp_path / "many.zip") as read:
        assert len(read.namelist()) == 65_600


def test_a_zip_of_a_file_too_large_for_thirty_two_bits(tmp_path, monkeypatch) -> None:
    # The limits are lowered rather than 4 GB written; what is beyond them takes the same way.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1_000_000)
    monkeypatch.setattr(archive_file, "_ZIP64_FROM", 500_000)
    (tmp_path / "prefix").mkdir()
    (tmp_path / "prefix" / "large").write_bytes(os.urandom(1_500_000))
    pack(tmp_path / "prefix", tmp_path / "large.zip", "zip")
    with zipfile.ZipFile(tmp_path / "large.zip") as read:
        assert read.getinfo("large").extract_version >= 45
        assert read.read("large") == (tmp_path / "prefix" / "large").read_bytes()


def test_bytecode_that_fits_no_source_is_left_out(tmp_path) -> None:
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    for name in ("fits", "stale", "gone"):
        (prefix / f"{name}.py").write_text("x = 1\n")
        py_compile.compile(str(prefix / f"{name}.py"), doraise=True)
    (prefix / "stale.py").write_text("x = 22\n")
    (prefix / "gone.py").unlink()
    pack(prefix, tmp_path / "a.tar", "tar")
    with tarfile.open(tmp_path / "a.tar") as archive:
        cached = [name for name in archive.getnames() if name.endswith(".pyc")]
        assert [Path(name).name.split(".")[0] for name in cached] == ["fits"]
        content = archive.extractfile(cached[0])
        assert content is not None
        assert content.read()[4:8] == b"\1\0\0\0"


# -- archives of others ---------------------------------------------------------------------------------------------


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (member("../outside"), "outside its folder"),
        (member("/etc/passwd"), "outside its folder"),
        (member("lib/up", tarfile.SYMTYPE, "../../.."), "outside the folder"),
        (member("lib/hard", tarfile.LNKTYPE, "../../etc/passwd"), "outside the folder"),
        (member("dev/null", tarfile.CHRTYPE), "device"),
        (member("pipe", tarfile.FIFOTYPE), "device or a pipe"),
    ],
)
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path, bad, match) -> None:
    path = tar_of(tmp_path / "env.tar.gz", member("bin/python"), bad)
    with pytest.raises(EnvironmentBuildError, match=match):
        build(str(path), cache_dir=tmp_path / "cache", progress=Record())


def test_an_archive_that_is_damaged_or_no_environment_is_refused(tmp_path) -> None:
    options = {"cache_dir": tmp_path / "cache", "progress": Record()}
    path = tar_of(tmp_path / "env.tar.gz", member("bin/python"))
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(EnvironmentBuildError, match="no intact"):
        build(str(path), **options)
    with pytest.raises(EnvironmentBuildError, match="no bin/python"):
        build(str(tar_of(tmp_path / "data.tar.gz", member("a/b/bin/python"), member("x"))), **options)


def test_a_ready_archive_is_looked_through_once_and_again_when_it_changed(tmp_path) -> None:
    path = tar_of(tmp_path / "env.tar.gz", member("dev/bin/python"))
    options = {"cache_dir": tmp_path / "cache"}
    first = build(str(path), progress=Record(), **options)
    assert (first.kind, first.name, first.path, first.reused) == ("archive", "env", str(path), False)
    record = Record()
    assert build(str(path), progress=record, **options).reused
    assert record.stages == []
    assert not sidecar_path(path).exists()  # nothing is put beside what is not ours
    tar_of(path, member("dev/bin/python"), member("dev/more"))
    assert build(str(path), progress=Record(), **options).digest != first.digest


def test_a_sidecar_counts_only_for_the_archive_that_it_was_written_for(tmp_path, greeting) -> None:
    assert read_sidecar(greeting.path) == greeting
    copy = tmp_path / "copy.tar.gz"
    copy.write_bytes(Path(greeting.path).read_bytes())
    assert read_sidecar(copy) is None
    sidecar_path(copy).write_bytes(sidecar_path(greeting.path).read_bytes())
    assert read_sidecar(copy) is None
    sidecar_path(copy).write_text("{")
    assert read_sidecar(copy) is None
