"""An upload whose DataNode waits for a NameNode that is lost: seldom, and for longer than anybody waits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from knit_provider.yarn.files.hdfs import Hdfs
from knit_provider.yarn.files.port import FileStatus, RemoteFileNotFound
from knit_provider.yarn.rest.transport import Unanswered


class Silent(Hdfs):
    """In memory; the first files that are made in it hang when half of them has arrived."""

    def __init__(self, hangs: int, has_standby: bool) -> None:
        super().__init__("hdfs://knit")
        self.renames = 1
        self.hangs, self.has_standby = hangs, has_standby
        self.made: dict[str, bytes] = {}

    def status(self, path: str) -> FileStatus | None:
        name = self._path(path)
        if name not in self.made:
            return None
        path = f"{self.root}{name}"
        return FileStatus(path, "FILE", len(self.made[name]), 1, "600", "alice", 1)

    def mkdirs(self, path: str, mode: str = "700") -> None: ...

    def _create(self, name: str, content: Any, **_: Any) -> None:
        if self.hangs:
            self.hangs -= 1
            content.read(5)
            raise Unanswered("timed out", sent=True, may_pass=True)
        self.made[name] = content.read(1000)

    def _uploaded(self, name: str, content: Any) -> FileStatus:
        found = self.status(name)
        assert found is not None
        return found

    def _digest(self, name: str, length: int) -> str:
        return hashlib.sha256(self.made[name][:length]).hexdigest()

    def rename(self, source: str, target: str) -> None:
        for _ in range(self.renames):
            if source not in self.made:
                raise RemoteFileNotFound(f"rename source {source} is not found.")
            self.made[target] = self.made.pop(source)

    def delete(self, path: str, recursive: bool = False) -> bool:
        return self.made.pop(path, None) is not None


Silent.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(("hangs", "has_standby"), [(1, True), (2, True), (1, False)])
def test_it_is_sent_once_more_where_somebody_takes_over(
    tmp_path: Path, hangs: int, has_standby: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit_provider.yarn.files.hdfs._LATE", (0.0,))
    local = tmp_path / "data"
    local.write_bytes(b"0123456789")
    files, moved = Silent(hangs, has_standby), []
    digest = hashlib.sha256(b"0123456789").hexdigest()
    if hangs == 1 and has_standby:
        files.put(local, "/a/data", digest, moved=moved.append)
        assert (files.made, sum(moved)) == ({"/a/data": b"0123456789"}, 10)
    else:
        with pytest.raises(Unanswered):
            files.put(local, "/a/data", digest)
        assert not files.made


@pytest.mark.parametrize("named_by_digest", [True, False])
def test_a_renaming_that_took_effect_and_was_asked_for_again_is_done(tmp_path: Path, named_by_digest: bool) -> None:
    """The first NameNode commits it and dies; the second one says that the source is not there."""
    local, digest = tmp_path / "data", hashlib.sha256(b"0123456789").hexdigest()
    local.write_bytes(b"0123456789")
    files = Silent(0, has_standby=True)
    files.renames = 2
    target = f"/cache/{digest}/data" if named_by_digest else "/elsewhere/data"
    done = files.put(local, target, digest)
    assert (done.path, done.length, files.made) == (f"hdfs://knit{target}", 10, {target: b"0123456789"})


def test_a_source_that_somebody_removed_stays_an_error(tmp_path: Path) -> None:
    class Robbed(Silent):
        def rename(self, source: str, target: str) -> None:
            self.made.clear()
            super().rename(source, target)

    (tmp_path / "data").write_bytes(b"0123456789")
    with pytest.raises(RemoteFileNotFound, match="not found"):
        Robbed(0, has_standby=True).put(tmp_path / "data", "/a/data")
