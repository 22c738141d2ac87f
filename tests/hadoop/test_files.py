"""Files and environments as containers see them."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from knit_provider import Knit
from knit_provider.yarn.errors import KnitError

SHOW = "\n".join(
    [
        "import hashlib, json, os, stat, sys",
        "found = {}",
        "for top, dirs, names in os.walk('.', followlinks=True):",
        "    for name in names:",
        "        path = os.path.relpath(os.path.join(top, name))",
        "        if path.startswith(('knit-', '.', 'container_', 'launch_', 'default_')): continue",
        "        mode = os.stat(path).st_mode",
        "        digest = hashlib.sha256(open(path, 'rb').read()).hexdigest()",
        "        found[path] = [digest, bool(mode & stat.S_IXUSR)]",
        "print('>>' + json.dumps(found))",
    ]
)


def seen(knit: Knit) -> dict[str, list[object]]:
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    for files in knit.logs().values():
        for line in str(files.get("stdout", "")).splitlines():
            if line.startswith(">>"):
                found: dict[str, list[object]] = json.loads(line[2:])
                return found
    raise AssertionError("the container printed nothing")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_list_and_names_with_odd_characters(knit: Knit, tmp_path: Path) -> None:
    plain = tmp_path / "creds.txt"
    plain.write_bytes(os.urandom(2000))
    odd = tmp_path / "żółw 1 & 2 (é).csv"
    odd.write_bytes(os.urandom(2000))
    knit.start(["python3", "-c", SHOW], files=[str(plain), odd])  # type: ignore[list-item]
    found = seen(knit)
    assert found["creds.txt"][0] == sha(plain.read_bytes())
    assert found[odd.name][0] == sha(odd.read_bytes())


def test_a_mapping_renames_and_equal_names_do_not_collide(knit: Knit, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data").write_text(folder)
    knit.start(
        ["python3", "-c", SHOW],
        files={"first": str(tmp_path / "a" / "data"), "in/side/second": str(tmp_path / "b" / "data")},
    )
    found = seen(knit)
    assert found["first"][0] == sha(b"a")
    assert found["in/side/second"][0] == sha(b"b")


def test_files_that_are_in_hdfs_already(knit: Knit, tmp_path: Path) -> None:
    files = knit.connection.files
    folder = files.uri_home() + "/inputs"
    local = tmp_path / "there.txt"
    local.write_text("already there")
    status = files.put(local, folder + "/there.txt")
    try:
        knit.start(["python3", "-c", SHOW], files=[status.path, {"source": status.path}])
        assert seen(knit)["there.txt"][0] == sha(b"already there")
    finally:
        files.delete(folder, recursive=True)


def pack(kind: str, folder: Path, target: Path) -> Path:
    if kind == ".zip":
        with zipfile.ZipFile(target, "w") as z:
            for path in sorted(folder.rglob("*")):
                z.write(path, path.relative_to(folder.parent))
    else:
        with tarfile.open(target, "w:gz" if kind != ".tar" else "w") as t:
            t.add(folder, folder.name)
    return target


@pytest.mark.parametrize("kind", [".zip", ".tar", ".tar.gz", ".tgz"])
def test_archives_are_unpacked_under_their_own_name(knit: Knit, tmp_path: Path, kind: str) -> None:
    stuff = tmp_path / "stuff"
    stuff.mkdir()
    (stuff / "one.txt").write_text("one")
    tool = stuff / "tool.sh"
    tool.write_text("#!/bin/sh\necho\n")
    tool.chmod(0o755)
    if kind != ".zip":
        (stuff / "link").symlink_to("one.txt")
    archive = pack(kind, stuff, tmp_path / f"myarc{kind}")
    knit.start(["python3", "-c", SHOW], files=[str(archive)])
    found = seen(knit)
    assert found[f"myarc{kind}/stuff/one.txt"][0] == sha(b"one")
    if kind != ".zip":
        assert found[f"myarc{kind}/stuff/tool.sh"][1] is True
        assert found[f"myarc{kind}/stuff/link"][0] == sha(b"one")


def test_a_folder_travels_with_modes_and_links(knit: Knit, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "deep").mkdir(parents=True)
    (project / "deep" / "x.py").write_text("pass")
    (project / "run").write_text("#!/bin/sh\n")
    (project / "run").chmod(0o755)
    (project / "alias").symlink_to("deep/x.py")
    knit.start(["python3", "-c", SHOW], files=[str(project)])
    found = seen(knit)
    assert found["project/deep/x.py"][0] == sha(b"pass")
    assert found["project/run"][1] is True
    assert found["project/alias"][0] == sha(b"pass")


@pytest.mark.parametrize("entry", ["../evil", "/etc/evil"])
def test_archives_that_leave_their_folder_are_refused(knit: Knit, tmp_path: Path, entry: str) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "bad.tar", "w") as t:
        t.add(tmp_path / "x", entry, filter=lambda info: setattr(info, "name", entry) or info)  # type: ignore[func-returns-value]
    with pytest.raises(KnitError, match=r"bad\.tar"):
        knit.start("true", files=[str(tmp_path / "bad.tar")])


def test_needs_upload_goes_by_content(make_knit: Callable[..., Knit], tmp_path: Path, marker: str) -> None:
    knit = make_knit()
    data = tmp_path / "data.bin"
    data.write_text(marker)
    assert knit.check_needs_upload(str(data))
    knit.start("true", files=[str(data)])
    assert knit.wait_for_completion(90)
    assert not knit.check_needs_upload(str(data))
    os.utime(data, (1, 1))
    assert not knit.check_needs_upload(str(data)), "a new time is no new content"
    data.write_text(marker + "!")
    assert knit.check_needs_upload(str(data))
    assert make_knit(upload_always=True).check_needs_upload(str(data))


def environment(folder: Path, top: str) -> Path:
    """A ready archive whose ``bin/python`` is this machine's, as an environment's is a link into its own prefix."""
    prefix = folder / "prefix"
    (prefix / "bin").mkdir(parents=True)
    interpreter = prefix / "bin" / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP)
    archive = folder / "dev.tar.gz"
    with tarfile.open(archive, "w:gz") as t:
        t.add(prefix, top or ".")
    return archive


@pytest.mark.parametrize("top", ["", "dev"], ids=["bin at the root", "one folder"])
def test_a_packed_environment(knit: Knit, tmp_path: Path, top: str) -> None:
    env = environment(tmp_path, top)
    knit.start('$PYTHON_BIN -c "print(6 * 7)"; ls $CONDA_PREFIX/bin; command -v python', env=str(env))
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    out = next(str(f["stdout"]) for f in knit.logs().values() if f["service"])
    assert out.splitlines()[:2] == ["42", "python"]
    assert out.splitlines()[2].endswith("knit-env/" + (f"{top}/" if top else "") + "bin/python")


def test_a_python_that_every_node_has(knit: Knit) -> None:
    knit.start("$PYTHON_BIN -c 'import sys; print(sys.executable)'", env=f"python://{sys.executable}")
    assert knit.wait_for_completion(90), knit.status()["diagnostics"]
    assert any(sys.executable in str(f.get("stdout", "")) for f in knit.logs().values())
