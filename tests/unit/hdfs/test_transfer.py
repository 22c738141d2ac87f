"""From the files that a spec names to YARN's local resources."""

from __future__ import annotations

import _thread
import hashlib
import os
import signal
import stat
import tarfile
import threading
import time
import zipfile

import pytest

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.files import local as local_module
from knit_provider.yarn.files.hdfs import Hdfs
from knit_provider.yarn.files.local import Digests, LocalContent
from knit_provider.yarn.files.transfer import Transfer, needs_upload
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.submission.staging import Paths

ROOT = "hdfs://nn:8020"


@pytest.fixture
def paths(files):
    return Paths.of(files, "rm")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("a,b\n")
    with zipfile.ZipFile(tmp_path / "arc.zip", "w") as archive:
        archive.writestr("stuff/x", "x")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("print()\n")
    return tmp_path


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def spec_of(**fields):
    service = {"resources": {"memory": 1}, "script": "x"} | fields
    return ApplicationSpec.from_dict({"services": {"w": service}})


def ship(files, paths, spec, **options):
    package = options.pop("package_files", None)
    with Transfer(files, paths, **options) as transfer:
        return transfer.ship(spec, package)


def puts(files):
    return [call[1] for call in files.calls if call[0] == "put"]


def test_a_local_file_goes_to_the_cache_by_its_digest(files, paths, folder):
    shipped = ship(files, paths, spec_of(files=["data.csv"]), replication=2)
    remote = f"{paths.cache}/{sha(folder / 'data.csv')}/data.csv"
    status = files.status(remote)
    assert shipped.services["w"] == {"data.csv": LocalResource(remote, 4, status.modified_ms, "FILE", "PRIVATE")}
    assert shipped.uploaded == ("data.csv",)
    assert ("put", remote, 2) in files.calls


def test_what_is_there_already_is_not_uploaded_again(files, paths, folder):
    first = ship(files, paths, spec_of(files=["data.csv"]))
    again = ship(files, paths, spec_of(files={"other-name": "data.csv"}))
    assert again.uploaded == ()
    assert again.services["w"]["other-name"] == first.services["w"]["data.csv"]
    (folder / "data.csv").write_text("c,d\n")
    assert ship(files, paths, spec_of(files=["data.csv"])).uploaded == ("data.csv",)


def test_what_was_removed_during_long_uploads_is_uploaded_again(files, paths, folder, monkeypatch):
    monkeypatch.setattr("knit_provider.yarn.files.transfer._LONG", -1.0)
    first = ship(files, paths, spec_of(files=["data.csv"])).services["w"]["data.csv"]
    put = files.put

    def put_for_hours(local, remote, *rest):
        if remote != first.uri:
            files.delete(first.uri.rpartition("/")[0], recursive=True)
        return put(local, remote, *rest)

    monkeypatch.setattr(files, "put", put_for_hours)
    again = ship(files, paths, spec_of(files=["data.csv", "src"])).services["w"]["data.csv"]
    assert files.status(again.uri).modified_ms == again.timestamp != first.timestamp


def test_upload_always_uploads_beside_what_is_there_and_never_over_it(files, paths, folder):
    first = ship(files, paths, spec_of(files=["data.csv"])).services["w"]["data.csv"]
    again = ship(files, paths, spec_of(files=["data.csv"]), upload_always=True).services["w"]["data.csv"]
    assert again.uri != first.uri
    assert files.status(first.uri).modified_ms == first.timestamp
    assert first.uri.split("/")[-2] in again.uri.split("/")


def test_one_content_is_uploaded_once_for_all_services(files, paths, folder):
    (folder / "copy").mkdir()
    (folder / "copy" / "data.csv").write_bytes((folder / "data.csv").read_bytes())
    service = {"resources": {"memory": 1}, "script": "x"}
    spec = ApplicationSpec.from_dict(
        {
            "services": {"a": service | {"files": ["data.csv"]}, "b": service | {"files": {"x": "copy/data.csv"}}},
            "master": {"files": ["data.csv"]},
        }
    )
    shipped = ship(files, paths, spec, package_files={"knit.jar": folder / "arc.zip"})
    assert len(puts(files)) == 2
    assert shipped.services["a"]["data.csv"] == shipped.services["b"]["x"] == shipped.master["data.csv"]
    assert shipped.master["knit.jar"].type == "FILE"


def test_two_links_of_one_container_are_never_one_file(files, paths, folder):
    (folder / "copy").mkdir()
    (folder / "copy" / "data.csv").write_bytes((folder / "data.csv").read_bytes())
    sources = {"a": "data.csv", "b": "data.csv", "c": "copy/data.csv"}
    shipped = ship(files, paths, spec_of(files=sources))
    assert len({resource.uri for resource in shipped.services["w"].values()}) == 3
    assert {files.read(resource.uri) for resource in shipped.services["w"].values()} == {b"a,b\n"}
    again = ship(files, paths, spec_of(files=sources))
    assert (again.uploaded, again.services) == ((), shipped.services)


def test_a_remote_file_under_two_names_is_refused_with_the_way_out(files, paths):
    files.write_many(f"{ROOT}/data", {"x": b"xyz"})
    with pytest.raises(ConfigurationError, match="ln -s a b"):
        ship(files, paths, spec_of(files={"a": f"{ROOT}/data/x", "b": f"{ROOT}/data/x"}))


def test_archives_are_unpacked_under_their_name(files, paths, folder):
    shipped = ship(files, paths, spec_of(files=["arc.zip"])).services["w"]
    assert shipped["arc.zip"].type == "ARCHIVE"
    assert shipped["arc.zip"].uri.endswith("/arc.zip")
    assert needs_upload("arc.zip", files, paths) is False
    plain = ship(files, paths, spec_of(files=[{"source": "arc.zip", "type": "FILE"}])).services["w"]
    assert plain["arc.zip"].type == "FILE"
    assert plain["arc.zip"].uri != shipped["arc.zip"].uri


def test_an_archive_by_another_name_gets_the_ending_that_yarn_wants(files, paths, folder):
    (folder / "arc.zip").rename(folder / "wheel.whl")
    shipped = ship(files, paths, spec_of(archives=["wheel.whl"])).services["w"]
    assert shipped["wheel.whl"].type == "ARCHIVE"
    assert shipped["wheel.whl"].uri.endswith("/wheel.whl.zip")


def test_a_folder_is_shipped_packed(files, paths, folder, tmp_path):
    shipped = ship(files, paths, spec_of(files=["src"])).services["w"]["src"]
    assert shipped.type == "ARCHIVE"
    assert shipped.uri.endswith("/src.tar.gz")
    (tmp_path / "back.tar.gz").write_bytes(files.read(shipped.uri))
    with tarfile.open(tmp_path / "back.tar.gz") as archive:
        assert archive.getnames() == ["main.py"]
    (folder / "src" / "more.py").touch()
    assert ship(files, paths, spec_of(files=["src"])).uploaded == ("src",)
    assert ship(files, paths, spec_of(files=["src"])).uploaded == ()


def test_nothing_is_left_in_the_temporary_folder(files, paths, folder, monkeypatch):
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    ship(files, paths, spec_of(files=["src"]))
    with pytest.raises(ConfigurationError):
        ship(files, paths, spec_of(files=["src", "missing"]))
    assert list(temporary.iterdir()) == []


def test_a_zip_with_links_is_shipped_as_a_tar_that_keeps_them(files, paths, folder):
    with zipfile.ZipFile(folder / "arc.zip", "a") as archive:
        info = zipfile.ZipInfo("stuff/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "x")
    shipped = ship(files, paths, spec_of(files=["arc.zip"])).services["w"]["arc.zip"]
    assert shipped.type == "ARCHIVE"
    assert shipped.uri.endswith("/arc.tar.gz")
    assert needs_upload("arc.zip", files, paths) is False


def test_odd_names_are_kept_in_the_container_and_tamed_in_hdfs(files, paths, folder):
    (folder / "R&D é 100%.csv").write_text("x")
    shipped = ship(files, paths, spec_of(files=["R&D é 100%.csv"])).services["w"]
    assert shipped["R&D é 100%.csv"].uri.endswith("/R_D___100_.csv")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"files": ["missing.csv"]}, r"services\.w\.files\.missing\.csv.*does not exist"),
        ({"files": ["dangling"]}, "is a link to nothing"),
        ({"files": ["pipe"]}, "is a pipe"),
        ({"files": {"null": "/dev/null"}}, "is a device"),
        ({"files": ["bad.zip"]}, r"bad\.zip is no intact zip archive"),
        ({"files": ["evil.tar"]}, "outside its folder"),
        ({"archives": ["data.csv"]}, "no archive that YARN can unpack"),
        ({"files": [{"source": "src", "type": "FILE"}]}, "is a folder"),
        ({"files": ["hdfs://nn:8020/none"]}, r"there is no hdfs://nn:8020/none"),
        ({"files": ["hdfs://nn:8020/user/alice/remote"]}, "is a folder"),
        ({"archives": ["hdfs://nn:8020/x.tar.bz2"]}, "rename or repack"),
        ({"env": "missing.tar.gz"}, r"services\.w\.env.*does not exist"),
        ({"env": "src"}, "conda-pack -p"),
        ({"env": "data.csv"}, "no archive that YARN can unpack"),
    ],
)
def test_what_cannot_be_shipped_is_named_before_anything_is_uploaded(files, paths, folder, fields, words):
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / "bad.zip").write_text("text")
    with tarfile.open(folder / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../x"))
    files.write_many(f"{ROOT}/user/alice/remote", {"x": b""})
    good = {"good": "arc.zip"} if isinstance(fields.get("files"), dict) else ["arc.zip"]
    both = fields["files"] | good if isinstance(good, dict) else [*good, *fields.get("files", [])]
    with pytest.raises(ConfigurationError, match=words):
        ship(files, paths, spec_of(**fields | {"files": both}))
    assert puts(files) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(files, paths, folder):
    (folder / "data.csv").chmod(0)
    with pytest.raises(ConfigurationError, match="permission denied"):
        ship(files, paths, spec_of(files=["data.csv"]))


def test_an_unreadable_file_is_named_whoever_runs_the_tests(files, paths, folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigurationError, match=r"data\.csv cannot be read: permission denied"):
        ship(files, paths, spec_of(files=["data.csv"]))


def test_a_remote_file_is_used_where_it_lies(files, paths):
    files.write_many(f"{ROOT}/data", {"a b.csv": b"xyz", "e.zip": b"zip"})
    status = files.status(f"{ROOT}/data/a b.csv")
    shipped = ship(files, paths, spec_of(files=[f"{ROOT}/data/a b.csv", f"{ROOT}/data/e.zip"])).services["w"]
    assert shipped["a b.csv"] == LocalResource(f"{ROOT}/data/a%20b.csv", 3, status.modified_ms, "FILE", "PRIVATE")
    assert shipped["e.zip"].type == "ARCHIVE"
    assert puts(files) == []


def test_a_remote_file_of_known_size_and_time_is_not_asked_for(files, paths):
    source = {"source": "s3a://bucket/x.tar.gz", "size": 7, "timestamp": 8, "visibility": "public"}
    shipped = ship(files, paths, spec_of(files={"lib": source})).services["w"]["lib"]
    assert shipped == LocalResource("s3a://bucket/x.tar.gz", 7, 8, "ARCHIVE", "PUBLIC")
    assert files.calls == []


def test_a_uri_without_a_host_is_completed(files, paths, monkeypatch):
    files.write_many(f"{ROOT}/data", {"x": b"xyz"})
    known = files.status(f"{ROOT}/data/x")
    monkeypatch.setattr(files, "status", lambda path: known if path == "hdfs:///data/x" else None)
    assert ship(files, paths, spec_of(files=["hdfs:///data/x"])).services["w"]["x"].uri == f"{ROOT}/data/x"


class Piecewise(Hdfs):
    """An HDFS of which only uploads are asked: each takes its pieces one by one, and leaves what it made if it ends."""

    def __init__(self, at_first_piece):
        super().__init__(ROOT)
        self.made = set()
        self.outlasted = False
        self._at_first_piece = at_first_piece

    def status(self, path):
        return None

    def mkdirs(self, path, mode="700"):
        pass

    def delete(self, path, recursive=False):
        self.made.discard(path)
        return True

    def _create(self, name, content, **_):
        self.made.add(name)
        content.read(1)
        self._at_first_piece()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            content.rewind()
            content.read(1)
        self.outlasted = True


Piecewise.__abstractmethods__ = frozenset()


def interrupt_while_python_blocks():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def interrupt_right_before_python_blocks():
    """As Python sees it: it is told of the signal, and nothing wakes what it calls next."""
    time.sleep(0.2)
    _thread.interrupt_main()


@pytest.mark.parametrize("interrupt", [interrupt_while_python_blocks, interrupt_right_before_python_blocks])
def test_an_interrupt_ends_uploads_at_their_next_piece_and_leaves_nothing(interrupt, paths, folder):
    both = threading.Barrier(2, interrupt)
    files = Piecewise(lambda: both.wait(60))
    with pytest.raises(KeyboardInterrupt):
        ship(files, paths, spec_of(files=["data.csv", "arc.zip"]))
    for thread in threading.enumerate():
        if thread.name.startswith("knit-files"):
            thread.join(60)  # one that the interrupt met at its very start is in no pool yet
    assert not files.outlasted
    assert not files.made


def test_an_environment_is_an_archive_under_our_name(files, paths, folder):
    shipped = ship(files, paths, spec_of(env="arc.zip")).services["w"]
    assert shipped["knit-env"].type == "ARCHIVE"
    assert ship(files, paths, spec_of(env="python:///usr/bin/python3")).services["w"] == {}


def test_an_environment_has_a_cache_of_its_own_where_it_is_found_by_its_content(files, paths, folder):
    first = ship(files, paths, spec_of(env="arc.zip"), replication=2).services["w"]["knit-env"]
    assert first.uri == f"{paths.envs}/{sha(folder / 'arc.zip')}/arc.zip"
    assert ("put", first.uri, 2) in files.calls
    (folder / "arc.zip").rename(folder / "other.zip")
    files.calls.clear()
    assert ship(files, paths, spec_of(env="other.zip")).services["w"]["knit-env"] == first
    assert puts(files) == []
    assert needs_upload("other.zip", files, paths) is False
    (folder / "other.zip").rename(folder / "arc.zip")
    again = ship(files, paths, spec_of(env="arc.zip"), upload_always=True).services["w"]["knit-env"]
    assert again.uri != first.uri
    assert files.status(first.uri).modified_ms == first.timestamp


def test_a_public_local_file_is_private_with_a_warning(files, paths, folder, caplog):
    shipped = ship(files, paths, spec_of(files=[{"source": "data.csv", "visibility": "public"}])).services["w"]
    assert shipped["data.csv"].visibility == "PRIVATE"
    assert "data.csv" in caplog.text


def test_paths_may_be_absolute_file_uris_or_begin_with_a_tilde(files, paths, folder, monkeypatch):
    (folder / "with space").write_text("x")
    monkeypatch.setenv("HOME", str(folder))
    sources = {"a": str(folder / "data.csv"), "b": f"file://{folder}/with%20space", "c": "~/data.csv"}
    shipped = ship(files, paths, spec_of(files=sources)).services["w"]
    assert [resource.uri.rpartition("/")[2] for resource in shipped.values()] == ["data.csv", "with_space", "data.csv"]


def test_needs_upload_goes_by_content(files, paths, folder):
    assert needs_upload("data.csv", files, paths) is True
    ship(files, paths, spec_of(files=["data.csv", "src"]))
    assert needs_upload("data.csv", files, paths) is False
    assert needs_upload("src", files, paths) is False
    os.utime(folder / "data.csv", (1, 1))
    assert needs_upload("data.csv", files, paths) is False
    (folder / "data.csv").write_text("A,B\n")
    assert needs_upload("data.csv", files, paths) is True
    assert needs_upload("hdfs://nn:8020/x", files, paths) is False
    with pytest.raises(ConfigurationError, match="missing"):
        needs_upload("missing", files, paths)


def test_a_cache_that_somebody_changed_is_not_trusted(files, paths, folder):
    remote = ship(files, paths, spec_of(files=["data.csv"])).services["w"]["data.csv"].uri
    files.write_many(remote.rpartition("/")[0], {"data.csv": b"other content"}, overwrite=True)
    with pytest.raises(ConfigurationError, match="upload_always"):
        ship(files, paths, spec_of(files=["data.csv"]))


def test_a_file_that_changes_between_digest_and_upload_is_named(files, paths, folder, monkeypatch):
    put = files.put

    def put_later(local, *rest):
        (folder / "data.csv").write_text("c,d\n")
        return put(local, *rest)

    monkeypatch.setattr(files, "put", put_later)
    with pytest.raises(ConfigurationError, match=r"data\.csv changed"):
        ship(files, paths, spec_of(files=["data.csv"]))
    assert not [path for path in files.nodes if path.endswith("data.csv")]


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite", "replace", "remove"])
def test_a_file_that_changes_while_it_is_read_is_named(tmp_path, change):
    path = tmp_path / "data"
    path.write_bytes(b"x" * 1000)
    os.utime(path, (1, 1))

    def rest(content):
        content.digest()
        content.check_unchanged()

    with LocalContent.of_file(path) as content:
        content.read(100)
        if change == "grow":
            path.write_bytes(b"x" * 2000)
        elif change == "shrink":
            path.write_bytes(b"x" * 10)
        elif change == "rewrite":
            path.write_bytes(b"y" * 1000)
        elif change == "replace":
            (tmp_path / "new").write_bytes(b"x" * 1000)
            os.utime(tmp_path / "new", (1, 1))
            (tmp_path / "new").rename(path)
        else:
            path.unlink()
        with pytest.raises(ConfigurationError, match=str(path)):
            rest(content)


def test_digests_are_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "data"
    path.write_bytes(b"x" * 1000)
    os.utime(path, (1_000_000, 1_000_000))
    digests, read = Digests(), []
    original = LocalContent.read
    monkeypatch.setattr(LocalContent, "read", lambda self, size=-1: read.append(1) or original(self, size))
    first = digests.of(path)
    assert first == (sha(path), 1000)
    assert digests.of(path) == first
    assert len(read) == 1
    path.write_bytes(b"y" * 1000)
    assert digests.of(path)[0] == sha(path) != first[0]


def test_a_digest_of_a_file_just_written_is_not_remembered(tmp_path, monkeypatch):
    path = tmp_path / "data"
    path.write_bytes(b"x" * 1000)
    digests = Digests()
    digests.of(path)
    status = path.stat()
    path.write_bytes(b"y" * 1000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.of(path)[0] == sha(path)
    monkeypatch.setattr(local_module, "_RACY_NS", 0)
    digests.of(path)
    path.write_bytes(b"z" * 1000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.of(path)[0] != sha(path)
