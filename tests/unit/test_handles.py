"""Reports, waiting, exit codes and notebook views: what needs no cluster."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from knit_provider.cli.exit_codes import exit_code
from knit_provider.yarn import errors
from knit_provider.yarn.application import Application, parse_result
from knit_provider.yarn.control.lease import LeaseKeeper
from knit_provider.yarn.errors import ApplicationMasterUnreachable, ClusterUnavailable, KnitError
from knit_provider.yarn.html import stages, table
from knit_provider.yarn.logs import SpooledLog
from knit_provider.yarn.logs.spool import from_path, spooled_file
from knit_provider.yarn.report import ApplicationReport, exit_code_in
from knit_provider.yarn.waiting import Backoff


def report(**fields: Any) -> ApplicationReport:
    return ApplicationReport.from_rm({"id": "application_1_0001", **fields})


def test_a_report_reads_what_the_resource_manager_says() -> None:
    r = report(
        state="RUNNING", finalStatus="UNDEFINED", amRPCAddress="node7:4711", applicationTags="a,b", progress=25.0
    )
    assert (r.am_host, r.am_port) == ("node7", 4711)
    assert r.tags == ("a", "b")
    assert not r.terminal
    for nothing in ("N/A:-1", "", None, "null"):
        assert report(state="ACCEPTED", amRPCAddress=nothing).am_port == 0


def test_only_a_final_status_makes_success() -> None:
    assert report(state="FINISHED", finalStatus="SUCCEEDED").succeeded
    assert not report(state="FINISHED", finalStatus="FAILED").succeeded
    assert not report(state="RUNNING", finalStatus="SUCCEEDED").succeeded
    killed = report(
        state="KILLED",
        finalStatus="KILLED",
        diagnostics="Application is killed by ResourceManager as it has exceeded the lifetime period.",
    )
    assert killed.killed
    assert killed.timed_out
    assert not report(state="KILLED", finalStatus="KILLED", diagnostics="by bob").timed_out


def test_exit_codes_are_found_in_diagnostics() -> None:
    assert exit_code_in("container_1 (default 0) FAILED, exit code 7. Last of stderr: oops") == 7
    assert exit_code_in("nothing of the kind") is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 64),
        (errors.ClusterUnavailable("x"), 69),
        (errors.ApplicationMasterUnreachable("x"), 69),
        (errors.SubmissionRejected("x"), 77),
        (errors.CheckFailed("x"), 77),
        (errors.PermissionDenied("x"), 77),
        (errors.AuthenticationFailed("x"), 77),
        (errors.WaitTimeout("x"), 124),
        (KeyboardInterrupt(), 130),
        (errors.ApplicationFailed("x", exit_code=42), 42),
        (errors.ApplicationFailed("x", exit_code=-103), 1),
        (errors.ApplicationKilled("x"), 1),
        (KnitError("x"), 1),
    ],
    ids=repr,
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_errors_are_what_python_programs_catch() -> None:
    assert issubclass(errors.WaitTimeout, TimeoutError)
    assert issubclass(errors.PermissionDenied, PermissionError)
    assert issubclass(errors.ConfigurationError, ValueError)
    assert issubclass(errors.ClusterUnavailable, ConnectionError)
    for name in dir(errors):
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert issubclass(kind, KnitError)


def test_a_backoff_ends_at_its_deadline() -> None:
    assert Backoff.for_waiting(0).sleep() is False
    b = Backoff.for_waiting(0.05, shortest=0.01)
    while b.sleep():
        pass
    assert b.deadline is not None
    assert time.monotonic() >= b.deadline


def test_results_are_json_of_limited_size() -> None:
    assert parse_result('{"a": [1]}', "c") == {"a": [1]}
    with pytest.raises(KnitError, match=r"c wrote.*not JSON"):
        parse_result("{", "c")
    with pytest.raises(KnitError, match="49152"):
        parse_result('"' + "x" * 50_000 + '"', "c")


def test_a_spooled_log_is_removed_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knit_provider.yarn.logs.spool.SPOOL_BYTES", 10)
    sink = spooled_file()
    sink.write("one\ntwo żółw\n".encode())
    sink.close()
    from pathlib import Path

    log = from_path(Path(sink.name))
    assert isinstance(log, SpooledLog)
    assert list(log) == ["one\n", "two żółw\n"]
    assert len(log) == 16
    path = log.path
    del log
    assert not path.exists()


class Lease:
    def __init__(self, renewing: Exception | None = None, touching: Exception | None = None, ended: bool = False):
        self.renewing, self.touching, self.over = renewing, touching, ended
        self.renewed = self.touched = 0
        self.keeper = LeaseKeeper("application_1_0001", self.renew, self.touch, lambda: self.over, interval=0.01)

    def renew(self) -> None:
        if self.renewing:
            raise self.renewing
        self.renewed += 1

    def touch(self) -> None:
        if self.touching:
            raise self.touching
        self.touched += 1


def test_a_lease_is_renewed_until_it_is_stopped() -> None:
    lease = Lease()
    lease.keeper.start()
    while lease.renewed < 3:
        threading.Event().wait(0.01)
    lease.keeper.stop()
    assert not lease.keeper.alive


def test_a_lease_is_touched_where_the_port_is_blocked() -> None:
    lease = Lease(ApplicationMasterUnreachable("no way"))
    assert lease.keeper.renew_once()
    assert lease.touched == 1


@pytest.mark.parametrize("trouble", [ClusterUnavailable("the ResourceManager is away"), KnitError("HTTP 500")])
def test_a_lease_is_touched_whatever_else_keeps_the_request_from_its_end(trouble: KnitError) -> None:
    lease = Lease(trouble)
    assert lease.keeper.renew_once()
    assert lease.touched == 1


def test_a_lease_ends_with_its_application() -> None:
    assert not Lease(ApplicationMasterUnreachable("gone"), KnitError("gone"), ended=True).keeper.renew_once()
    assert not Lease(KnitError("ended"), ended=True).keeper.renew_once()


def test_a_lease_that_cannot_be_renewed_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    lease = Lease(ApplicationMasterUnreachable("no way"), KnitError("no hdfs"))
    for _ in range(3):
        assert lease.keeper.renew_once()
    assert caplog.text.count("could not be renewed") == 1


class Fake:
    """A connection that is never asked."""

    user = "alice"


def test_ids_are_checked_before_anything_is_asked() -> None:
    with pytest.raises(errors.ConfigurationError, match="job_1"):
        Application(Fake(), "job_1")  # type: ignore[arg-type]


@pytest.mark.parametrize(("of_knit", "of_spec"), [(None, "hdfs://nn/x"), ("hdfs://nn/y", "hdfs://nn/x")])
def test_a_specs_staging_is_not_ignored(of_knit: str | None, of_spec: str) -> None:
    from knit_provider import Knit

    service = {"script": "date", "resources": {"memory": 128, "vcores": 1}}
    spec = {"services": {"w": service}, "staging": of_spec}
    with Knit(autodetect=False, rm="127.0.0.1", rm_port=1, staging=of_knit) as knit:
        with pytest.raises(errors.ConfigurationError, match=f"staging='{of_spec}'"):
            knit.submit(spec)
        with pytest.raises(errors.ClusterUnavailable):  # it comes as far as that
            knit.submit({**spec, "staging": of_knit})


def test_notebook_views_escape_what_users_wrote() -> None:
    assert "<script>" not in table(("a",), [["<script>"]])
    done = dict(stages({"state": "FINISHED", "finalStatus": "SUCCEEDED"}, 0))
    assert all(done.values())
    waiting = dict(stages({"state": "ACCEPTED", "finalStatus": "UNDEFINED"}, 0))
    assert waiting == {"submitted": True, "accepted": True, "first container": False, "done": False}


def test_further_resources_go_by_yarns_names() -> None:
    from knit_provider.yarn.spec import Resources

    found = Resources.of("1 GiB", 2, {"yarn.io/gpu": 1, "licences": 3})
    assert (found.memory, found.vcores) == (1024, 2)
    assert found.amounts() == {"yarn.io/gpu": 1, "licences": 3}
