"""The local cache of builds: what goes when it is pruned."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from knit_provider.cli.main import main
from knit_provider.environments.model import PackedEnvironment
from knit_provider.environments.progress import LogProgress
from knit_provider.environments.sidecar import sidecar_path
from knit_provider.environments.store import Store

DAY = 24 * 3600


def build(store: Store, key: str, *, unused_days: float = 0, content: str = "first") -> Path:
    with store.work_folder() as work:
        path = work / "made.tar.gz"
        path.write_text(content)
        kept = store.keep(key, PackedEnvironment("made", str(path), content, len(content), "tar.gz", "venv"))
    then = time.time() - unused_days * DAY
    for aged in (sidecar_path(kept.path), Path(kept.path).parent):
        os.utime(aged, (then, then))
    return Path(kept.path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "envs")


def test_what_nobody_asked_for_goes_and_the_rest_stays(store: Store) -> None:
    old, new = build(store, "a", unused_days=31), build(store, "b", unused_days=29)
    assert [env.path for env in store.prune(30 * DAY)] == [str(old)]
    assert not old.parent.exists()
    assert new.exists()


def test_finding_one_is_a_use(store: Store) -> None:
    old = build(store, "a", unused_days=31)
    assert store.find("a", "made", "tar.gz") is not None
    assert store.prune(30 * DAY) == []
    assert old.exists()


def test_a_request_that_was_built_anew_is_that_under_all_its_names(store: Store) -> None:
    build(store, "a")
    assert store.find("a", "other", "tar.gz") is not None
    again = build(store, "a", content="today's")
    for name in ("made", "other", "third"):
        found = store.find("a", name, "tar.gz")
        assert found is not None
        assert (found.name, Path(found.path).name, found.digest) == (name, f"{name}.tar.gz", "today's")
        assert Path(found.path).read_text() == "today's"
    assert again.exists()


def test_one_that_is_being_built_anew_stays(store: Store) -> None:
    old = build(store, "a", unused_days=31)
    with store.lock("a", LogProgress()):
        assert store.prune(30 * DAY) == []
    assert old.exists()


def test_the_command_prunes_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old = build(Store(), "a", unused_days=3)
    done = CliRunner().invoke(main, ["env", "prune", "--local", "--older-than", "2"])
    assert (done.exit_code, old.exists()) == (0, False), done.output
    assert "removed 1 builds" in done.output
    assert CliRunner().invoke(main, ["env", "prune", "--local", "--keep", "1GiB"]).exit_code == 64
