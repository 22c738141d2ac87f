"""What archives are shipped, and that folders are packed as they are."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files import archives


def tar_of(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for member in members:
            info = tarfile.TarInfo(member["name"])
            for key, value in member.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def file(name, size=1):
    return {"name": name, "size": size}


def link(name, target, kind=tarfile.SYMTYPE):
    return {"name": name, "linkname": target, "type": kind}


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([file("/etc/passwd")], "outside its folder"),
        ([file("../x")], "outside its folder"),
        ([file("a/../../x")], "outside its folder"),
        ([link("a", "/etc")], "outside the folder"),
        ([link("a", "../b")], "outside the folder"),
        ([link("d/a", "../../b")], "outside the folder"),
        ([link("a", "..")], "outside the folder"),
        ([link("a", "/etc/shadow", tarfile.LNKTYPE)], "outside the folder"),
        ([link("a", "../shadow", tarfile.LNKTYPE)], "outside the folder"),
        ([{"name": "null", "type": tarfile.CHRTYPE}], "device"),
        ([{"name": "sda", "type": tarfile.BLKTYPE}], "device"),
        ([{"name": "pipe", "type": tarfile.FIFOTYPE}], "pipe"),
    ],
)
@pytest.mark.parametrize("kind", [".tar", ".tar.gz"])
def test_a_tar_with_a_dangerous_member_is_refused_by_its_name(tmp_path, kind, members, words):
    path = tar_of(tmp_path / f"a{kind}", file("good"), *members, mode="w:gz" if kind == ".tar.gz" else "w")
    with pytest.raises(ConfigurationError, match=words) as caught:
        archives.scan(path, kind)
    assert str(path) in str(caught.value)
    assert repr(members[0]["name"]) in str(caught.value)


def test_a_member_behind_a_link_that_leads_out_is_refused_even_in_an_environment(tmp_path):
    path = tar_of(tmp_path / "a.tar.gz", link("x", "/etc"), file("x/passwd"))
    with pytest.raises(ConfigurationError, match="lies behind the link 'x'"):
        archives.scan(path, ".tar.gz", is_environment=True)


def test_an_environment_may_link_to_an_interpreter_on_the_node(tmp_path):
    path = tar_of(tmp_path / "a.tar.gz", link("bin/python", "/usr/bin/python3"), link("lib64", "lib"), file("lib64/x"))
    assert archives.scan(path, ".tar.gz", is_environment=True) is False
    with pytest.raises(ConfigurationError, match="bin/python"):
        archives.scan(path, ".tar.gz")


def test_links_inside_are_accepted(tmp_path):
    members = [file("d/a"), link("d/b", "a"), link("d/c", "../e"), link("hard", "d/a", tarfile.LNKTYPE)]
    assert archives.scan(tar_of(tmp_path / "a.tar", *members, mode="w"), ".tar") is False


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("/etc/passwd", "x", 0o100644)], "outside its folder"),
        ([("../x", "x", 0)], "outside its folder"),
        ([("a", "/etc", stat.S_IFLNK | 0o777)], "outside the folder"),
        ([("a", "../b", stat.S_IFLNK | 0o777)], "outside the folder"),
        ([("a", "..", stat.S_IFLNK | 0o777), ("a/b", "x", 0)], "outside the folder"),
        ([("pipe", "", stat.S_IFIFO | 0o644)], "pipe"),
    ],
)
def test_a_zip_with_a_dangerous_member_is_refused(tmp_path, members, words):
    with pytest.raises(ConfigurationError, match=words):
        archives.scan(zip_of(tmp_path / "a.zip", *members), ".zip")


def test_an_archive_made_to_fill_disks_is_refused_without_unpacking_it(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "BOMB_SIZE", 10_000_000)
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = 30_000_000
        archive.addfile(info, io.BytesIO(bytes(30_000_000)))
    with pytest.raises(ConfigurationError, match="fill disks"):
        archives.scan(path, ".tar.gz")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(30_000_000))
    with pytest.raises(ConfigurationError, match="fill disks"):
        archives.scan(path, ".zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_what_is_no_archive_is_refused_by_its_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"just text" * 1000)
    with pytest.raises(ConfigurationError, match="type: FILE"):
        archives.scan(path, archives.kind_by_name(name))


def test_a_cut_off_archive_is_refused(tmp_path):
    whole = tar_of(tmp_path / "whole.tar.gz", *[file(f"f{number}", 5000) for number in range(50)])
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match=r"cut\.tar\.gz"):
        archives.scan(cut, ".tar.gz")


def test_a_gzipped_archive_is_read_to_its_checksum(tmp_path):
    path = tar_of(tmp_path / "x.tar.gz", file("a", 100_000))
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"x\.tar\.gz is no intact gzipped tar archive"):
        archives.scan(path, ".tar.gz")


def test_content_that_does_not_inflate_is_refused(tmp_path):
    path = tar_of(tmp_path / "x.tar.gz", *[file(f"a{number}", 1000) for number in range(50)])
    content = bytearray(path.read_bytes())
    content[40:80] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"x\.tar\.gz is no intact gzipped tar archive"):
        archives.scan(path, ".tar.gz")


def test_kinds_are_told_by_name_and_by_content(tmp_path):
    names = {
        "a.zip": ".zip",
        "A.ZIP": ".zip",
        "a.tgz": ".tar.gz",
        "a.tar.gz": ".tar.gz",
        "a.tar": ".tar",
        "a.whl": None,
    }
    assert {name: archives.kind_by_name(name) for name in names} == names
    assert archives.kind_by_content(zip_of(tmp_path / "x", ("a", "b", 0))) == ".zip"
    assert archives.kind_by_content(tar_of(tmp_path / "y", file("a"))) == ".tar.gz"
    assert archives.kind_by_content(tar_of(tmp_path / "z", file("a"), mode="w")) == ".tar"
    for mode in ("w:bz2", "w:xz"):
        with pytest.raises(ConfigurationError, match="no archive that YARN can unpack"):
            archives.kind_by_content(tar_of(tmp_path / "u", file("a"), mode=mode))


@pytest.fixture
def folder(tmp_path):
    """A folder with everything that is easily lost."""
    root = tmp_path / "stuff"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "plain").write_text("plain")
    (root / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (root / "run.sh").chmod(0o755)
    (root / "sub" / "secret").write_text("secret")
    (root / "sub" / "secret").chmod(0o400)
    (root / "sub").chmod(0o750)
    (root / "link").symlink_to("plain")
    (root / "sub" / "up").symlink_to("../plain")
    (root / "folder-link").symlink_to("sub")
    (root / "away").symlink_to("/etc/hostname")
    (root / "broken").symlink_to("nowhere")
    (root / "é 'quote'").write_text("odd")
    return root


def described(root):
    result = {}
    for path, folders, names in os.walk(root):
        for name in [*folders, *names]:
            entry = os.path.join(path, name)
            status = os.lstat(entry)
            target = os.readlink(entry) if stat.S_ISLNK(status.st_mode) else None
            mode = None if target else oct(stat.S_IMODE(status.st_mode))
            result[os.path.relpath(entry, root)] = (mode, target, status.st_size if stat.S_ISREG(status.st_mode) else 0)
    return result


def test_a_folder_is_packed_with_permissions_links_and_empty_folders(folder, tmp_path):
    archives.pack_folder(folder, tmp_path / "a.tar.gz")
    unpacked = tmp_path / "unpacked"
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        archive.extractall(unpacked, filter="fully_trusted")
    assert described(unpacked) == described(folder)
    assert len(described(folder)) == 11


def test_a_folder_is_packed_to_the_same_bytes_each_time(folder, tmp_path):
    archives.pack_folder(folder, tmp_path / "a")
    archives.pack_folder(folder, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_pipe_in_a_folder_is_named(folder, tmp_path):
    os.mkfifo(folder / "sub" / "pipe")
    with pytest.raises(ConfigurationError, match="sub/pipe"):
        archives.pack_folder(folder, tmp_path / "a")


def test_a_zip_with_links_becomes_a_tar_with_links(tmp_path):
    path = zip_of(
        tmp_path / "a.zip",
        ("bin/", "", stat.S_IFDIR | 0o755),
        ("bin/python3", "#!/bin/sh\n", stat.S_IFREG | 0o755),
        ("bin/python", "python3", stat.S_IFLNK | 0o777),
        ("plain", "x", 0o644),
    )
    assert archives.scan(path, ".zip") is True
    archives.zip_to_tar(path, tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        found = {member.name: (oct(member.mode), member.linkname) for member in archive}
        assert archive.extractfile("bin/python3").read() == b"#!/bin/sh\n"
    assert found["bin/python3"] == ("0o755", "")
    assert found["bin/python"][1] == "python3"
    assert found["plain"] == ("0o644", "")
    assert archives.scan(tmp_path / "a.tar.gz", ".tar.gz") is False


def test_names_that_take_gigabytes_are_not_read_to_their_end(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_BETWEEN_MEMBERS", 1024**2)
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as packed:
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 64 * 1024**2
        packed.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            packed.write(b"n" * 1024**2)
    with pytest.raises(ConfigurationError, match="1 MiB of names"):
        archives.scan(path, ".tar.gz")


def test_a_link_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, b"a" * 10_000_000)
    with pytest.raises(ConfigurationError, match="more than 4096 characters"):
        archives.scan(path, ".zip")


def test_links_that_environments_have_are_accepted(tmp_path):
    path = tar_of(
        tmp_path / "a.tar.gz",
        link("bin/python", "python3"),
        link("bin/python3", "/usr/bin/python3"),
        file("lib/libx.so.1.2"),
        link("lib/libx.so", "libx.so.1"),
        link("lib/libx.so.1", "libx.so.1.2"),
        link("lib64", "lib"),
        file("lib64/y"),
        link("share/x", "../lib64/../lib/libx.so"),
        link("share/loop", "loop"),
    )
    assert archives.scan(path, ".tar.gz", is_environment=True) is False
