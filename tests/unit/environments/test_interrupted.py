"""Builds that are killed, that run out of room, and that run twice at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from knit_provider.environments.build import build
from knit_provider.environments.sources import CondaPackages
from knit_provider.yarn.errors import EnvironmentBuildError

from .conftest import Record

BUILDER = """
import json, os, resource, signal, sys
from contextlib import contextmanager
from pathlib import Path
from knit_provider.environments.build import build
from knit_provider.environments.sources import CondaPackages

cache, pkgs, channel, die_at, most = sys.argv[1:6]
stages = []

class Progress:
    @contextmanager
    def stage(self, name, total=None, *, unit="bytes"):
        stages.append(name)
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if most and name == "pack":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), int(most)))
        yield self
        if die_at == "after " + name:
            os.kill(os.getpid(), signal.SIGKILL)
    def advance(self, amount=1):
        if die_at == "while " + stages[-1]:
            os.kill(os.getpid(), signal.SIGKILL)

env = build(CondaPackages("job", ("bulk", "figures"), (channel,)), cache_dir=Path(cache), packages_dir=Path(pkgs),
            progress=Progress())
print(json.dumps({"path": env.path, "digest": env.digest, "reused": env.reused, "stages": stages}))
"""


def builder(cache: Path, pkgs: Path, channel: str, die_at: str = "", most: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(cache), str(pkgs), channel, die_at, most],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("moment", ["link", "while pack", "after pack"])
def test_a_build_that_is_killed_leaves_nothing_that_looks_valid(moment, conda_channel, pkgs, tmp_path) -> None:
    cache = tmp_path / "cache"
    process = builder(cache, pkgs, conda_channel, moment)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert list((cache / "work").iterdir())  # it was in the middle of it
    record = Record()
    env = build(
        CondaPackages("job", ("figures",), (conda_channel,)), cache_dir=cache, packages_dir=pkgs, progress=record
    )
    assert not env.reused
    assert not list((cache / "work").iterdir())
    assert len(list((cache / "builds").iterdir())) == 1


def test_two_builders_at_once_end_with_one_result(conda_channel, pkgs, tmp_path) -> None:
    processes = [builder(tmp_path / "cache", pkgs, conda_channel) for _ in range(2)]
    results = []
    for process in processes:
        said, trouble = process.communicate(timeout=180)
        assert process.returncode == 0, trouble
        results.append(json.loads(said))
    assert len({(result["path"], result["digest"]) for result in results}) == 1
    assert sorted(result["reused"] for result in results) == [False, True]
    assert sum("solve" in result["stages"] for result in results) == 1


def test_a_disk_that_fills_while_packing_is_an_error_that_says_so(conda_channel, pkgs, tmp_path) -> None:
    process = builder(tmp_path / "cache", pkgs, conda_channel, most="200000")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "EnvironmentBuildError" in said
    assert "room" in said or "cannot be written" in said
    assert not list((tmp_path / "cache" / "work").iterdir())
    assert not list((tmp_path / "cache" / "builds").iterdir())


def test_no_room_is_found_before_anything_is_linked(conda_channel, pkgs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("knit_provider.environments.store.free_bytes", lambda folder: 5)
    record = Record()
    with pytest.raises(EnvironmentBuildError, match=r"MB are free"):
        build(CondaPackages("job", ("bulk",), (conda_channel,)), cache_dir=tmp_path, packages_dir=pkgs, progress=record)
    assert "link" not in record.stages


def test_a_cache_that_others_can_write_to_is_not_trusted(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "knit-provider" / "envs"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EnvironmentBuildError, match="others can write"):
        build(CondaPackages("job", ("words",), ("file:///nowhere",)))
