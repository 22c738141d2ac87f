"""An upload whose DataNode waits for a NameNode that is lost: seldom, and for longer than anybody waits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from knit_provider.yarn.files.hdfs import Hdfs
from knit_provider.yarn.files.port import FileStatus
from knit_provider.yarn.rest.transport import Unanswered


class Silent(Hdfs):
    """In memory; the first files that are made in it hang when half of them has arrived."""

    def __init__(self, hangs: int, has_standby: bool) -> None:
        super().__init__("hdfs://knit")
        self.hangs, self.has_standby = hangs, has_standby
        self.made: dict[str, bytes] = {}

    def status(self, path: str) -> FileStatus | None:
        name = self._path(path)
        if name not in self.made:
            return None
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

    def rename(self, source: str, target: str) -> None:
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
