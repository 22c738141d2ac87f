"""Environments of conda packages, from a real channel, by the real solver and linker."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import shutil
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from knit_provider.environments.sources import CondaLock, CondaPackages, source_of
from knit_provider.yarn.errors import EnvironmentBuildError
from tests.channels import LIB, PLACEHOLDER, PYTHON, SUBDIR

from .conftest import Record, run, unpack


def test_an_environment_runs_wherever_it_is_unpacked(greeting, tmp_path) -> None:
    assert greeting.kind == "conda"
    assert greeting.python == PYTHON
    assert greeting.platform == SUBDIR
    assert {"greet=2.0", "words=1.1", f"python={PYTHON}"} <= set(greeting.packages)
    home = unpack(greeting.path, tmp_path / "some where" / "ünder")
    # Nobody may write there, and nothing has to be fixed.
    run("chmod", "-R", "a-w", home)
    try:
        assert run(home / "bin/python", "-c", "import greet; greet.main()") == "hello 2.0 with 1.1"
        activated = run("bash", "-c", 'source bin/activate && greet && words && echo "$WORDS_HOME"', cwd=home)
        assert activated.splitlines() == ["hello 2.0 with 1.1", f"1.1 {home}", f"{home}/share/words"]
    finally:
        run("chmod", "-R", "u+w", home)
    assert os.readlink(home / "bin/python") == f"python{PYTHON.rpartition('.')[0]}"
    assert os.readlink(home / "lib/libwords.so") == "libwords.so.1"
    assert os.access(home / "bin/greet", os.X_OK)
    assert not os.access(home / "etc/words.conf", os.X_OK)
    assert not (home / "bin/conda-unpack").exists()


def test_modules_come_compiled_and_need_not_be_again(greeting, tmp_path) -> None:
    home = unpack(greeting.path, tmp_path / "env")
    for module in ("site-packages/greet/__init__.py", "site-packages/words/__init__.py", "json/decoder.py"):
        path = home / LIB / module
        cached = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        assert cached.read_bytes()[4:8] == b"\1\0\0\0", module  # by hash, and not to be checked
    # A source of another time would have its old-fashioned bytecode made anew; this one is loaded as it is.
    os.utime(home / LIB / "site-packages/greet/__init__.py", (1, 1))
    said = run(home / "bin/python", "-B", "-v", "-c", "import greet", stderr=-2, capture_output=False, stdout=-1)
    assert f"{home / LIB}/site-packages/greet/__pycache__/" in said
    assert "bytecode is stale" not in said


def test_what_keeps_the_builds_path_is_listed_with_what_it_means(greeting) -> None:
    said = "\n".join(greeting.warnings)
    assert "etc/words.conf" in said
    assert "compiled in" in next(line for line in greeting.warnings if "lib/libwords.so.1" in line)
    assert "compiling" in next(line for line in greeting.warnings if "python3.pc" in line)
    assert "bin/words" not in said  # its first line was made to fit any place
    assert "greet" not in said


def test_nothing_of_the_build_stays_in_the_archive(greeting) -> None:
    cache = Path(greeting.path).parents[2]
    with tarfile.open(greeting.path) as archive:
        for member in archive:
            assert (member.uid, member.gid, member.uname, member.mtime) == (0, 0, "", 315532800)
            content = archive.extractfile(member)
            text = content.read() if content else b""
            assert os.fsencode(cache) not in text, member.name
            assert PLACEHOLDER.encode() not in text or not member.name.startswith("bin/")


@pytest.mark.parametrize("format", ["tar.gz", "tar", "zip"])
def test_the_same_packages_make_the_same_bytes_in_another_cache(conda_channel, make, tmp_path, format) -> None:
    packages = ("greet",) if format == "tar.gz" else ("figures",)
    source = CondaPackages("twice", packages, (conda_channel,))
    first = make(source, format=format)
    second = make(source, format=format, cache_dir=tmp_path / "elsewhere" / "and deeper")
    assert first.digest == second.digest
    assert Path(first.path).read_bytes() == Path(second.path).read_bytes()
    assert not second.reused


def test_a_request_is_solved_and_packed_once(conda_channel, make) -> None:
    source = CondaPackages("once", ("figures",), (conda_channel,))
    first, second, other, anew = Record(), Record(), Record(), Record()
    built = make(source, progress=first)
    assert {"solve", "link", "pack"} <= set(first.stages)
    again = make(CondaPackages("once", ("figures",), (conda_channel,)), progress=second)
    assert (again.path, again.digest, again.reused, second.stages) == (built.path, built.digest, True, [])
    named = make(CondaPackages("renamed", ("figures",), (conda_channel,)), progress=other)
    assert (named.digest, named.name, other.stages) == (built.digest, "renamed", [])
    assert Path(named.path).name == "renamed.tar.gz"
    assert not make(source, progress=anew, refresh=True).reused
    assert "solve" in anew.stages


def test_other_packages_under_the_same_name_are_another_environment(conda_channel, make) -> None:
    one = make(CondaPackages("same", ("figures",), (conda_channel,)))
    two = make(CondaPackages("same", ("figures=1.0",), (conda_channel,)))
    assert one.digest != two.digest
    assert not two.reused


def test_pins_hold_for_what_was_not_asked_for(conda_channel, make) -> None:
    env = make(CondaPackages("pinned", ("report",), (conda_channel,), pinned=("figures <2",)))
    assert env.packages == ("figures=1.0", "report=1.0")


def test_a_package_that_nobody_has_is_named(conda_channel, make) -> None:
    with pytest.raises(EnvironmentBuildError, match="nosuchthing"):
        make(CondaPackages("x", ("figures", "nosuchthing"), (conda_channel,)))
    # The cache is as good as before.
    assert make(CondaPackages("x", ("figures",), (conda_channel,))).size > 0


def test_a_conflict_comes_with_the_solvers_reason(conda_channel, make) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"figures") as failure:
        make(CondaPackages("x", ("report=2.0", "clash"), (conda_channel,)))
    assert "clash" in str(failure.value)
    assert "report" in str(failure.value)


def test_a_channel_that_nobody_answers_for_is_named(make) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"http://127\.0\.0\.1:9/nothing"):
        make(CondaPackages("x", ("figures",), ("http://127.0.0.1:9/nothing",)))


def test_a_spec_that_is_none_is_named(conda_channel, make) -> None:
    with pytest.raises(EnvironmentBuildError, match="is no conda package spec"):
        make(CondaPackages("x", ("figures >>1",), (conda_channel,)))


class _Guarded(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"ann:s3cret").decode():
            self.send_error(401)
            return
        super().do_GET()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def private_channel(conda_channel):
    """The channel behind a password; its host and port."""
    folder = conda_channel.removeprefix("file://")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Guarded, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_private_channel_opens_with_its_password_which_stays_out_of_the_archive(private_channel, make, tmp_path):
    env = make(CondaPackages("private", ("figures",), (f"http://ann:s3cret@{private_channel}",)))
    home = unpack(env.path, tmp_path / "env")
    assert (home / "share/figures.txt").read_text() == "2.0"
    recorded = json.loads(next((home / "conda-meta").glob("figures-*.json")).read_text())
    assert recorded["url"].startswith(f"http://{private_channel}/noarch/figures")
    for path in home.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes(), path
    wrong = CondaPackages("refused", ("figures=1.0",), (f"http://ann:wr0ng@{private_channel}",))
    with pytest.raises(EnvironmentBuildError) as failure:
        make(wrong, cache_dir=tmp_path / "c")
    assert "wr0ng" not in str(failure.value)
    assert private_channel in str(failure.value)


def test_a_damaged_package_is_named(conda_channel, make, tmp_path) -> None:
    folder = tmp_path / "channel"
    shutil.copytree(conda_channel.removeprefix("file://"), folder)
    package = folder / "noarch" / "figures-2.0-h_0.tar.bz2"
    package.write_bytes(package.read_bytes()[:-20])
    with pytest.raises(EnvironmentBuildError, match=r"figures-2\.0-h_0\.tar\.bz2 is not the one"):
        make(CondaPackages("damaged", ("figures",), (folder.as_uri(),)))


def test_an_environment_file(conda_channel, make, tmp_path) -> None:
    folder = tmp_path / "channel here"
    shutil.copytree(conda_channel.removeprefix("file://"), folder)
    (tmp_path / "environment.yml").write_text(
        "name: etl\nchannels: ['./channel here', nodefaults]\ndependencies: [figures=1.0]\nprefix: /someone/elses\n"
    )
    source = source_of(str(tmp_path / "environment.yml"))
    assert source == CondaPackages("etl", ("figures=1.0",), (folder.as_uri(),))
    assert make(source).packages == ("figures=1.0",)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("dependencies: {python: 3}", "no list of dependencies"),
        ("dependencies: [{npm: [x]}]", "neither a package nor"),
        ("dependencies: [python]\nvariabels: {}", "variabels"),
        ("dependencies: [python, {pip: ['-e .']}]", "without -e"),
        ("dependencies: [python\n", "YAML"),
    ],
)
def test_an_environment_file_that_is_none(tmp_path, text, match) -> None:
    (tmp_path / "environment.yml").write_text(text)
    with pytest.raises(EnvironmentBuildError, match=match):
        source_of(str(tmp_path / "environment.yml"))


def test_an_explicit_lock_is_linked_as_it_is(conda_channel, make, tmp_path, record) -> None:
    index = json.loads((Path(conda_channel.removeprefix("file://")) / "noarch/repodata.json").read_text())["packages"]
    name = "figures-1.0-h_0.tar.bz2"
    lock = tmp_path / "figures.lock"
    lock.write_text(f"# platform: {SUBDIR}\n@EXPLICIT\n{conda_channel}/noarch/{name}#{index[name]['md5']}\n")
    env = make(str(lock), progress=record)
    assert (env.name, env.packages) == ("figures", ("figures=1.0",))
    assert "solve" not in record.stages
    with pytest.raises(EnvironmentBuildError, match=rf"{name} is not the one.*{'0' * 32}"):
        make(CondaLock("bad", (f"{conda_channel}/noarch/{name}#{'0' * 32}",)))
    with pytest.raises(EnvironmentBuildError, match="fetched"):
        make(CondaLock("gone", (f"{conda_channel}/noarch/missing-1.0-h_0.tar.bz2",)))
    with pytest.raises(EnvironmentBuildError, match=r"osx-arm64.*this machine is"):
        make(CondaLock("other", ("https://host/osx-arm64/x-1-0.conda",)))
