"""What a try does about the application of an earlier one."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

pytest.importorskip("prefect")

from knit_provider.prefect import start as starting
from knit_provider.prefect.caller import Caller
from knit_provider.prefect.identity import (
    Action,
    Claims,
    Earlier,
    Kept,
    candidates,
    decide,
    job_tag,
    kept_in_tags,
    made_by_several,
)
from knit_provider.prefect.job_run import YarnJobRun
from knit_provider.prefect.jobs import YarnJob
from knit_provider.prefect.run_log import RunLog
from knit_provider.yarn.logs.chunk import LogChunk
from knit_provider.yarn.report import ApplicationReport

JOB, OTHER = "prefect-job-a", "prefect-job-b"
ME = Caller(flow_run_id="f", task_run_id="me", call="c", attempt=2, position=1)


def app(
    state: str | None, job: str = JOB, *, of: str | None = "dead", attempt: int = 1, position: int = 0, number: int = 1
) -> Earlier:
    """An application of another try; ``state`` None: it was never submitted."""
    app_id = f"application_1_{number:04}"
    kept = Kept(app_id, job, of, attempt, position)
    if state is None:
        return Earlier(kept, None)
    ended = state in ("SUCCEEDED", "FAILED")
    final = state if ended or state == "KILLED" else "UNDEFINED"
    return Earlier(kept, ApplicationReport(app_id, "FINISHED" if ended else state, final, started_ms=number))


def choose(*earlier: Earlier, reattach: bool = True, caller: Caller = ME, claims: Claims | None = None) -> str:
    """What a try does, and about which application."""
    kept = [e.kept for e in earlier]
    found = candidates(caller, earlier, kept, claims or Claims())
    several = made_by_several(caller, kept)
    action, chosen = decide(caller, found, JOB, reattach=reattach, several=several)
    return f"{action.name} {int(chosen.kept.app_id[-4:])}" if chosen else action.name


@pytest.mark.parametrize("of", ["me", "dead"])
@pytest.mark.parametrize(
    ("state", "action", "not_reattaching"),
    [
        ("RUNNING", "ATTACH 1", "REPLACE 1"),
        ("ACCEPTED", "ATTACH 1", "REPLACE 1"),
        ("SUCCEEDED", "FINISH 1", "SUBMIT"),
        ("FAILED", "SUBMIT", "SUBMIT"),
        ("KILLED", "SUBMIT", "SUBMIT"),
        ("UNKNOWN", "UNKNOWN 1", "SUBMIT"),
        (None, "SUBMIT_KEPT 1", "SUBMIT_KEPT 1"),
    ],
)
def test_the_same_job_of_an_earlier_try(of: str, state: str | None, action: str, not_reattaching: str) -> None:
    assert choose(app(state, of=of)) == action
    assert choose(app(state, of=of), reattach=False) == not_reattaching


def test_what_is_left_of_another_job_at_the_same_place_is_replaced() -> None:
    assert choose(app("RUNNING", OTHER, of="me", attempt=2)) == "REPLACE 1"
    assert choose(app("RUNNING", OTHER, position=1)) == "REPLACE 1"
    assert choose(app("SUCCEEDED", OTHER, position=1)) == "SUBMIT"
    # At another place it may be what another run of the task comes for.
    assert choose(app("RUNNING", OTHER, position=0)) == "SUBMIT"
    assert choose(app("RUNNING", OTHER, position=1), app("RUNNING", number=2)) == "ATTACH 2"


def test_a_run_that_finds_its_own_job_leaves_a_siblings_alone() -> None:
    # Two runs of one task, whose threads came in another order this time.
    mine, sibling = app("SUCCEEDED", of="first", position=0), app("RUNNING", OTHER, of="second", position=1, number=2)
    assert choose(mine, sibling) == "FINISH 1"
    # The same run in both attempts, whose job was changed and changed back.
    before = app("FAILED", of="first", attempt=1, position=1)
    changed = app("RUNNING", OTHER, of="second", attempt=2, position=1, number=2)
    assert choose(before, changed, caller=replace(ME, attempt=3)) == "REPLACE 2"


class Cluster:
    """One application that runs until it is killed; a new one gets the next number."""

    def __init__(self, earlier: Earlier) -> None:
        self.earlier, self.killed, self.submitted = earlier, [], []

    def application(self, app_id: str) -> Any:
        def kill(why: str, timeout: float) -> bool:
            self.killed.append(app_id)
            return True

        killed = replace(self.earlier.report, state="KILLED", final_status="KILLED")
        return SimpleNamespace(kill=kill, report_or_none=lambda: killed if self.killed else self.earlier.report)

    def new_application(self) -> str:
        return "application_1_0009"

    def submit(self, spec: Any, app_id: str, bound: bool) -> None:
        self.submitted.append(app_id)


class Page:
    """What the server keeps; a sibling comes for the application at the second look, or never."""

    def __init__(self, earlier: Earlier, taken: Kept | None) -> None:
        self.notes, self.taken = [earlier.kept, Kept("application_1_0007", JOB, "another", 1, 0)], taken

    def kept(self) -> list[Kept]:
        found = list(self.notes)
        if self.taken is not None:
            self.notes.append(self.taken)
        return found

    def keep(self, kept: Kept, url: str) -> None:
        self.notes.append(kept)

    def cancelled(self, now: bool) -> bool:
        return False


@pytest.mark.parametrize("comes", [True, False])
def test_a_sibling_is_waited_for_before_its_job_is_taken_for_nobodys(
    comes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "SIBLING_POLL_SECONDS", 0.01)
    monkeypatch.setattr(starting, "SIBLING_SECONDS", 60.0 if comes else 0.05)
    monkeypatch.setattr(starting, "application_url", lambda knit, app_id: "")
    theirs = app("RUNNING", OTHER, of="second", position=1)
    monkeypatch.setattr(starting, "_earlier", lambda knit, caller, kept: [theirs])
    cluster = Cluster(theirs)
    page = Page(theirs, Kept("application_1_0001", OTHER, "sibling", 2, 0) if comes else None)
    spec = YarnJob(command="date").spec(ME)
    started = starting.start(cluster, spec, ME, page, logging.getLogger())  # type: ignore[arg-type]
    assert (started.app_id, cluster.submitted) == ("application_1_0009", ["application_1_0009"])
    assert cluster.killed == ([] if comes else ["application_1_0001"])


def test_no_two_runs_of_a_task_are_given_one_application() -> None:
    # Of this attempt, and of another run: not ours, whatever it runs.
    assert choose(app("RUNNING", of="sibling", attempt=2)) == "SUBMIT"
    # Of the attempt before, and kept by another run of this one.
    taken = Kept("application_1_0001", JOB, "sibling", 2, 0)
    found = candidates(ME, [app("RUNNING")], [taken], Claims())
    assert decide(ME, found, JOB, reattach=True) == (Action.SUBMIT, None)
    claims = Claims()
    claims.take(Caller(flow_run_id="f", task_run_id="sibling", call="c", attempt=2), "application_1_0001")
    assert choose(app("RUNNING"), claims=claims) == "SUBMIT"
    assert choose(app("RUNNING"), app("RUNNING", number=2), claims=claims) == "ATTACH 2"


def test_the_latest_counts() -> None:
    assert choose(app("FAILED", of="me"), app("RUNNING", of="me", number=2)) == "ATTACH 2"
    assert choose(app("KILLED", of="me"), app("SUCCEEDED", of="me", number=2)) == "FINISH 2"
    body = Caller(flow_run_id="f", call="c", attempt=2)
    assert choose(app("RUNNING", of=None), caller=body) == "ATTACH 1"


def test_tags_tell_the_origin() -> None:
    report = ApplicationReport("application_1_0001", "RUNNING", tags=("x", *ME.tags, JOB, "knit-spec-1"))
    assert kept_in_tags(report) == Kept("application_1_0001", JOB, "me", 2, 1)
    assert len(ME.tags) + 1 <= 6  # with the job's; three are left to the user
    assert kept_in_tags(ApplicationReport("application_1_0001", "RUNNING")).task_run_id is None


def test_the_same_job_has_the_same_tag_whatever_time_is_left() -> None:
    def tag(**fields: Any) -> str:
        return job_tag(YarnJob(**{"command": "date", **fields}).spec())

    assert tag(lifetime=100) == tag(lifetime="2 h") == tag(timeout_seconds=5) == tag(tags=["x"]) == tag()
    assert tag(command="dates") != tag()
    assert tag(num_containers=2) != tag()
    assert YarnJob(command="date", timeout_seconds=5).spec().lifetime == 605
    assert YarnJob(command="date").spec(Caller(seconds_left=100)).lifetime == 700
    assert YarnJob(command="date", lifetime="2 h").spec(Caller(seconds_left=100)).lifetime == 7200


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


@pytest.mark.parametrize("way", ["wait_for", "fail_after"])
def test_a_job_whose_start_was_cancelled_is_ended(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def trigger(self: YarnJob) -> Any:
        began.set()
        assert go_on.wait(60)
        return SimpleNamespace(end=lambda why: ended.set())

    monkeypatch.setattr(YarnJob, "trigger", trigger)

    async def cancelled_while_it_submits() -> None:
        job = YarnJob(command="date")
        if way == "fail_after":
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(job.atrigger)
                    await asyncio.to_thread(began.wait, 60)
                    scope.cancel()
                    go_on.set()
            return
        task = asyncio.ensure_future(job.atrigger())
        await asyncio.to_thread(began.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        go_on.set()
        await asyncio.to_thread(ended.wait, 60)

    asyncio.run(cancelled_while_it_submits())
    assert ended.is_set()


@pytest.mark.parametrize("while_it", ["submits", "waits"])
def test_a_job_that_is_cancelled_again_and_again_is_ended(while_it: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pauses: a pool would have dropped the kill before it began."""
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    run = YarnJobRun(None, "application_1_0001")

    def slow(*_: Any) -> Any:
        began.set()
        assert go_on.wait(60)
        return run

    monkeypatch.setattr(YarnJob, "trigger", slow)
    monkeypatch.setattr(YarnJobRun, "_wait", slow)
    monkeypatch.setattr(YarnJobRun, "end", lambda self, why: ended.set())

    async def cancel() -> None:
        call = YarnJob(command="date").atrigger() if while_it == "submits" else run.await_for_completion()
        task = asyncio.ensure_future(call)
        await asyncio.to_thread(began.wait, 60)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        go_on.set()

    asyncio.run(cancel())
    assert ended.wait(60)
