"""What a try does about the application of an earlier one."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("prefect")

from knit_provider.prefect.jobs import YarnJob
from knit_provider.prefect.run_log import RunLog
from knit_provider.prefect.start import Action, decide, job_tag
from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.report import ApplicationReport

JOB, OTHER = "prefect-job-a", "prefect-job-b"


def app(number: int, state: str, final: str = "UNDEFINED", *tags: str) -> ApplicationReport:
    return ApplicationReport(f"application_1_{number:04}", state, final, tags=tags, started_ms=number)


RUNNING, SUCCEEDED = app(1, "RUNNING", "UNDEFINED", JOB), app(1, "FINISHED", "SUCCEEDED", JOB)
FAILED, KILLED = app(1, "FINISHED", "FAILED", JOB), app(1, "KILLED", "KILLED", JOB)


@pytest.mark.parametrize(
    ("earlier", "kept", "reattach", "action"),
    [
        ([], None, True, Action.SUBMIT),
        ([], "application_1_0009", True, Action.SUBMIT_KEPT),
        ([], "application_1_0009", False, Action.SUBMIT_KEPT),
        ([RUNNING], RUNNING.id, True, Action.ATTACH),
        ([RUNNING], None, True, Action.ATTACH),
        ([RUNNING], RUNNING.id, False, Action.REPLACE),
        ([app(1, "ACCEPTED", "UNDEFINED", OTHER)], None, True, Action.REPLACE),
        ([SUCCEEDED], SUCCEEDED.id, True, Action.FINISH),
        ([SUCCEEDED], SUCCEEDED.id, False, Action.SUBMIT),
        ([app(1, "FINISHED", "SUCCEEDED", OTHER)], None, True, Action.SUBMIT),
        ([FAILED], FAILED.id, True, Action.SUBMIT),
        ([KILLED], KILLED.id, True, Action.SUBMIT),
        ([FAILED, app(2, "FINISHED", "SUCCEEDED", JOB)], None, True, Action.FINISH),
        ([SUCCEEDED, app(2, "FINISHED", "FAILED", JOB)], None, True, Action.SUBMIT),
        ([FAILED, app(2, "RUNNING", "UNDEFINED", JOB)], None, True, Action.ATTACH),
        ([app(1, "UNKNOWN")], "application_1_0001", True, Action.UNKNOWN),
        ([app(1, "UNKNOWN")], "application_1_0001", False, Action.SUBMIT),
        # Out of the ledger, which keeps no tags.
        ([app(1, "FINISHED", "SUCCEEDED")], "application_1_0001", True, Action.FINISH),
    ],
)
def test_decide(earlier: list[ApplicationReport], kept: str | None, reattach: bool, action: Action) -> None:
    assert decide(earlier, JOB, kept, reattach=reattach)[0] is action


def test_the_same_job_has_the_same_tag_whatever_time_is_left() -> None:
    def tag(**fields: Any) -> str:
        return job_tag(YarnJob(**{"command": "date", **fields}).spec())

    assert tag(lifetime=100) == tag(lifetime="2 h") == tag(timeout_seconds=5) == tag(tags=["x"]) == tag()
    assert tag(command="dates") != tag()
    assert tag(num_containers=2) != tag()


class Records(list[str]):
    """A logger that keeps what it is told."""

    def info(self, text: str, *arguments: object) -> None:
        self.append(text % arguments)


def test_whole_lines_travel_together_and_no_more_than_the_limit() -> None:
    records = Records()
    log = RunLog(records, tail_lines=2, max_bytes=300)  # type: ignore[arg-type]

    def say(text: str, file: str = "stdout", service: str | None = "default", index: int | None = 0) -> None:
        log.add(LogChunk("container_1", service, index, file, text))

    say("100% a\nb\nunfin")
    say("not shown", service=None)
    say("ished\n")
    say("1\n2\n3\n", "stderr")
    assert records == [
        "default 0: 100% a\ndefault 0: b",
        "default 0: unfinished",
        "default 0 stderr: 1\ndefault 0 stderr: 2\ndefault 0 stderr: 3",
    ]
    assert log.tail("container_1") == log.tail() == ["2", "3"]
    say("x" * 400 + "\nmore\n")
    assert "YARN has them whole" in records[-1]
    say("still more\n")
    log.close()
    assert "still more" not in "".join(records)
