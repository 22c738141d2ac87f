"""Live logs as a stream: of any length, in whole lines, with no letter lost between two readers."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from knit_provider.yarn.logs import live
from knit_provider.yarn.logs.chunk import LogChunk, LogCursor
from knit_provider.yarn.logs.inventory import KnownContainer
from knit_provider.yarn.logs.stream import CHUNK_BYTES, LONGEST_LINE, READ_BYTES, stream
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.rest.nodemanager import LogFile

ALICE: Any = SimpleNamespace(user="alice")
CONTAINER = KnownContainer("container_1_0001_01_000002", "node:1", "node:2", "default", 0)
LINE = ("ж" * 50 + "\n").encode()


class Running:
    id = "application_1_0001"

    def report(self) -> ApplicationReport:
        return ApplicationReport.from_rm({"id": self.id, "state": "RUNNING", "user": "alice"})


class Node:
    """A node with one log file.

    Attributes:
        content: of the file; it may grow.
        largest: how much was read of it at once.
    """

    def __init__(self) -> None:
        self.content = b""
        self.largest = 0

    def files(self, connection: Any, container: KnownContainer) -> list[LogFile]:
        return [LogFile("stdout", len(self.content), "")]

    def read(
        self,
        connection: Any,
        container: KnownContainer,
        name: str,
        offset: int,
        out: BinaryIO,
        limit: int | None = None,
    ) -> int:
        written = out.write(self.content[offset : len(self.content) if limit is None else offset + limit])
        self.largest = max(self.largest, written)
        return written

    def visit(self, cursor: LogCursor | None = None) -> list[LogChunk]:
        """What a reader gets that does not follow."""
        app: Any = Running()
        return list(stream(ALICE, app, cursor=cursor))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    # The package has a function of the module's name.
    module = sys.modules[stream.__module__]
    monkeypatch.setattr(module, "known_containers", lambda *args: {CONTAINER.id: CONTAINER})
    monkeypatch.setattr(live, "files", made.files)
    monkeypatch.setattr(live, "read", made.read)
    return made


@pytest.mark.parametrize("cursor", [None, LogCursor()], ids=["at once", "by visits"])
def test_a_long_log_is_read_in_parts_and_comes_whole(node: Node, cursor: LogCursor | None) -> None:
    node.content = LINE * (20 * 2**20 // len(LINE))
    chunks = node.visit(cursor)
    assert "".join(chunk.text for chunk in chunks).encode() == node.content
    assert node.largest <= READ_BYTES
    assert max(len(chunk.text.encode()) for chunk in chunks) <= CHUNK_BYTES
    assert {chunk.text[-1] for chunk in chunks} == {"\n"}  # who writes several logs line by line cuts none


@pytest.mark.parametrize("lines", [3, 2 * 2**20 // len(LINE)])
def test_a_visit_leaves_the_line_that_is_being_written_to_the_next_one(node: Node, lines: int) -> None:
    cursor = LogCursor()
    node.content = LINE * lines + LINE[:51]  # in the midst of a letter, too
    first = node.visit(cursor)
    assert first[-1].text.endswith("\n")
    assert sum(cursor.values()) == lines * len(LINE)
    node.content = LINE * (lines + 1)
    assert [chunk.text for chunk in node.visit(cursor)] == [LINE.decode()]


def test_a_line_that_is_too_long_is_passed_on_between_letters(node: Node) -> None:
    cursor = LogCursor()
    text = "ж" * LONGEST_LINE
    node.content = text.encode()[: LONGEST_LINE + 1]
    first = node.visit(cursor)
    assert sum(cursor.values()) == LONGEST_LINE
    node.content = (text + "\n").encode()
    assert "".join(chunk.text for chunk in [*first, *node.visit(cursor)]) == text + "\n"
