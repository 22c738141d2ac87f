"""Containers' logs in the task's log."""

from __future__ import annotations

from knit_provider.operators.task_log import TaskLog
from knit_provider.yarn.logs.chunk import LogChunk


def chunk(text: str, container: str = "container_1", file: str = "stdout", service: str | None = "default") -> LogChunk:
    return LogChunk(container, service, None if service is None else 0, file, text)


def written(*chunks: LogChunk, tail_lines: int = 20, max_bytes: int = 10_000) -> tuple[list[str], TaskLog]:
    lines: list[str] = []
    log = TaskLog(lines.append, tail_lines=tail_lines, max_bytes=max_bytes)
    for c in chunks:
        log.add(c)
    log.close()
    return lines, log


def test_each_containers_file_is_a_group() -> None:
    lines, _ = written(chunk("a\n"), chunk("b\n"), chunk("c\n", container="container_2"), chunk("d\n"))
    assert lines == [
        "::group::default 0 stdout (container_1)",
        "a",
        "b",
        "::endgroup::",
        "::group::default 0 stdout (container_2)",
        "c",
        "::endgroup::",
        "::group::default 0 stdout (container_1)",
        "d",
        "::endgroup::",
    ]


def test_a_line_in_pieces_is_written_once_and_whole() -> None:
    lines, _ = written(chunk("hel"), chunk("x\n", file="stderr"), chunk("lo\nwor"), chunk("ld"))
    assert [line for line in lines if not line.startswith("::")] == ["x", "hello", "world"]


def test_the_application_master_and_the_node_managers_files_are_not_shown() -> None:
    lines, _ = written(chunk("INFO\n", service=None), chunk("x\n", file="prelaunch.out"))
    assert lines == []


def test_a_containers_own_markers_do_not_close_the_group() -> None:
    lines, _ = written(chunk("::endgroup::\n::group::mine\n"))
    assert lines[1:-1] == ["", "mine"]


def test_only_the_last_lines_of_stderr_are_kept() -> None:
    _, log = written(chunk("".join(f"{i}\n" for i in range(9)), file="stderr"), chunk("out\n"), tail_lines=3)
    assert log.tail("container_1") == ["6", "7", "8"]
    assert log.tail("container_2") == []


def test_a_flood_is_cut_and_its_tail_still_kept() -> None:
    lines, log = written(chunk("0123456789\n" * 100, file="stderr"), chunk("last\n", file="stderr"), max_bytes=50)
    assert sum(line == "0123456789" for line in lines) == 4
    assert "knit logs" in lines[-1]
    assert log.tail("container_1")[-1] == "last"


def test_other_lines_stand_outside_of_groups() -> None:
    lines: list[str] = []
    log = TaskLog(lines.append, tail_lines=1)
    log.add(chunk("a\n"))
    log.say("application is RUNNING")
    assert lines[-2:] == ["::endgroup::", "application is RUNNING"]


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    lines: list[str] = []
    log = TaskLog(lines.append, tail_lines=1)
    for _ in range(5):
        log.add(chunk("." * 2**20))
    assert sum(map(len, lines)) > 3 * 2**20
