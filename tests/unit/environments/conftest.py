"""A channel, a cache that keeps the unpacked packages for the whole run, and a record of what a build did."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from knit_provider.environments.build import build
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.sources import CondaPackages


class Record:
    """A Progress that remembers the stages; ``at`` is called when one begins."""

    def __init__(self, at=None):
        self.stages = []
        self._at = at

    @contextmanager
    def stage(self, name, total=None, *, unit="bytes"):
        self.stages.append(name)
        if self._at is not None:
            self._at(name)
        yield self

    def advance(self, amount=1):
        pass


@pytest.fixture
def record():
    return Record()


@pytest.fixture(scope="session")
def pkgs(tmp_path_factory):
    """Unpacked packages, shared by all caches of the session."""
    return tmp_path_factory.mktemp("pkgs")


@pytest.fixture
def make(tmp_path, pkgs):
    """``build`` with a cache of this test's own."""

    def call(source, **options):
        options.setdefault("cache_dir", tmp_path / "cache")
        options.setdefault("progress", Record())
        return build(source, packages_dir=pkgs, **options)

    return call


@pytest.fixture(scope="session")
def greeting(tmp_path_factory, conda_channel, pkgs) -> PackedEnvironment:
    """An environment of Python, a noarch package and one of this platform, packed once in a session."""
    source = CondaPackages("greeting", ("greet", "words=1.1"), (conda_channel,))
    return build(source, cache_dir=tmp_path_factory.mktemp("greeting"), packages_dir=pkgs, progress=Record())


def unpack(archive: str | Path, folder: Path) -> Path:
    """Unpack as a node would, modes included."""
    folder.mkdir(parents=True)
    if str(archive).endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                path = Path(packed.extract(info, folder))
                if mode := info.external_attr >> 16 & 0o777:
                    path.chmod(mode)
        return folder
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="fully_trusted")
    return folder


def run(*command: str | Path, **options) -> str:
    """Run a program to its end; what it printed."""
    options = {"capture_output": True, **options}
    done = subprocess.run([str(part) for part in command], text=True, timeout=120, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
