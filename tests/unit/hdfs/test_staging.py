"""The folders of a user's applications: where they are, how private they are, and what is read from the ledger."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from knit_provider.yarn.errors import ConfigurationError, KnitError, PermissionDenied
from knit_provider.yarn.files.port import RemoteFileExists
from knit_provider.yarn.report import ApplicationReport
from knit_provider.yarn.submission.journal import note_end
from knit_provider.yarn.submission.ledger import END, LedgerContainer, Outcome, read_ledger
from knit_provider.yarn.submission.staging import Paths, open_base, remove_staging, write_staging

APP = "application_1700000000000_0001"
HOME = "hdfs://nn:8020/user/alice"


@pytest.fixture
def paths(files):
    return Paths.of(files, "rm-1:8032")


def test_paths_carry_the_resource_managers_name(paths):
    base = f"{HOME}/.knitDeps"
    assert paths.base == base
    assert paths.cache == f"{base}/cache"
    assert paths.staging(APP) == f"{base}/apps/rm-1_8032/{APP}"
    assert paths.ledger(APP) == f"{base}/ledger/rm-1_8032/{APP}"


@pytest.mark.parametrize(
    ("folder", "base"),
    [
        (None, f"{HOME}/.knitDeps"),
        ("deps", f"{HOME}/deps/.knitDeps"),
        ("/data/x/", "hdfs://nn:8020/data/x/.knitDeps"),
        ("hdfs://other/x", "hdfs://other/x/.knitDeps"),
    ],
)
def test_the_folder_may_be_given_in_any_form(files, folder, base):
    assert Paths.of(files, "rm", folder).base == base


@pytest.mark.parametrize("identity", ["", "..", "_"])
def test_a_resource_manager_without_a_name_is_refused(files, identity):
    with pytest.raises(ConfigurationError, match="identity"):
        Paths.of(files, identity)


@pytest.mark.parametrize("app_id", ["", "../x", "application_1_2/../..", "app", "container_1_1_01_000001"])
def test_no_path_is_made_of_what_is_no_application_id(paths, app_id):
    with pytest.raises(ConfigurationError, match="no application id"):
        paths.staging(app_id)
    with pytest.raises(ConfigurationError, match="no application id"):
        paths.ledger(app_id)


def test_the_base_is_made_private(files, paths):
    base = open_base(files, paths, "alice")
    assert base.refusal == ""
    assert files.status(paths.base).permission == "700"
    assert open_base(files, paths, "alice") == base


@pytest.mark.parametrize("mode", ["777", "775", "702", "720", "1777"])
def test_a_base_that_others_may_write_to_is_refused(files, paths, mode):
    files.mkdirs(paths.base)
    files.chmod(paths.base, mode)
    with pytest.raises(PermissionDenied, match="chmod 700"):
        open_base(files, paths, "alice")
    assert files.list(paths.base) == []


def test_a_base_that_others_may_read_is_accepted(files, paths):
    files.mkdirs(paths.base)
    files.chmod(paths.base, "755")
    assert open_base(files, paths, "alice").refusal == ""


def test_a_base_of_somebody_else_is_refused(files, paths):
    files.mkdirs(paths.base)
    files.chmod(paths.base, "700", owner="mallory")
    with pytest.raises(PermissionDenied, match=r"mallory.*hdfs_home="):
        open_base(files, paths, "alice")


def test_a_base_that_is_a_file_is_refused(files, paths):
    files.write_many(HOME, {".knitDeps": b"x"})
    with pytest.raises(ConfigurationError, match="is a file"):
        open_base(files, paths, "alice")


def test_a_missing_home_is_named_with_the_way_out(files, paths):
    files.home_is_closed = True
    with pytest.raises(PermissionDenied, match=r"alice's home folder.*hdfs_home="):
        open_base(files, paths, "alice")


def test_staging_is_written_with_its_secrets(files, paths):
    staged = write_staging(files, open_base(files, paths, "alice"), APP, {"spec.json": b"{}"}, {"control.json": b"s"})
    assert staged.refusal == ""
    assert {name: status.permission for name, status in staged.files.items()} == {
        "spec.json": "600",
        "control.json": "600",
    }
    assert files.status(paths.staging(APP)).permission == "700"
    assert remove_staging(files, paths, APP) is True
    assert files.status(paths.staging(APP)) is None
    assert remove_staging(files, paths, APP) is False


def test_staging_an_application_twice_is_refused(files, paths):
    base = open_base(files, paths, "alice")
    write_staging(files, base, APP, {"spec.json": b"{}"})
    with pytest.raises(RemoteFileExists):
        write_staging(files, base, APP, {"spec.json": b"{}"})


def test_a_filesystem_without_modes_is_given_no_secret(object_store, caplog):
    paths = Paths.of(object_store, "rm")
    base = open_base(object_store, paths, "alice")
    assert "staging=" in base.refusal
    staged = write_staging(object_store, base, APP, {"spec.json": b"{}"}, {"control.json": b"s"})
    assert set(staged.files) == {"spec.json"}
    assert "keeps no file modes" in staged.refusal
    assert ("write", "control.json") not in object_store.calls
    assert not [path for path in object_store.nodes if "probe" in path]
    assert APP in caplog.text


def test_a_secret_that_turns_out_readable_is_removed_at_once(files, paths):
    base = open_base(files, paths, "alice")
    files.modes = False
    staged = write_staging(files, base, APP, {"spec.json": b"{}"}, {"control.json": b"s"})
    assert set(staged.files) == {"spec.json"}
    assert staged.refusal
    assert files.status(f"{paths.staging(APP)}/control.json") is None


ENTRY = {
    "version": 1,
    "application_id": APP,
    "submission_id": "abc",
    "attempt": 1,
    "container_id": "container_1_1_01_000001",
    "started_ms": 5,
    "outcome": None,
}
CONTAINER = {
    "id": "c",
    "service": "w",
    "index": 0,
    "node": "n:1",
    "node_http": "n:2",
    "exit_code": 3,
    "state": "FAILED",
}


def write_entry(files, paths, content):
    folder, _, name = paths.ledger(APP).rpartition("/")
    files.write_many(folder, {name: content}, overwrite=True)


def test_no_entry_is_none(files, paths):
    assert read_ledger(files, paths, APP) is None


def test_an_entry_is_read_with_and_without_an_outcome(files, paths):
    write_entry(files, paths, json.dumps(ENTRY).encode())
    entry = read_ledger(files, paths, APP)
    assert (entry.submission_id, entry.attempt, entry.started_ms, entry.outcome) == ("abc", 1, 5, None)
    outcome = {
        "final_status": "FAILED",
        "diagnostics": "d",
        "exit_code": 3,
        "finished_ms": 9,
        "containers": [CONTAINER],
    }
    write_entry(files, paths, json.dumps(ENTRY | {"outcome": outcome, "later": "field"}).encode())
    found = read_ledger(files, paths, APP).outcome
    assert (found.final_status, found.diagnostics, found.exit_code, found.succeeded) == ("FAILED", "d", 3, False)
    assert found.containers == (LedgerContainer("c", "w", 0, "n:1", "n:2", 3, "FAILED"),)


def test_the_end_of_one_that_was_killed_is_laid_beside_its_entry(files, paths):
    report = ApplicationReport(id=APP, state="KILLED", final_status="KILLED", diagnostics="by bob", finished_ms=9)
    launch = {"event": "launch", "container": "c", "service": "w", "index": 0, "node": "n:1", "node_http": "n:2"}
    journal = [
        launch,
        {"event": "end", "container": "c", "state": "FAILED", "exit_code": 3},
        {**launch, "container": "d", "index": 1},
        {"event": "kv"},
    ]
    lines = "\n".join(map(json.dumps, journal)) + '\n{"event": "laun'
    files.write_many(paths.staging(APP), {"journal-1": lines.encode(), "spec.json": b"{}"})
    note_end(files, paths, report)
    assert read_ledger(files, paths, APP) is None, "it never started, and that is not changed"
    write_entry(files, paths, json.dumps(ENTRY).encode())
    note_end(files, paths, report)
    note_end(files, paths, replace(report, diagnostics="by another client"))
    assert read_ledger(files, paths, APP).outcome == Outcome(
        "KILLED",
        "by bob",
        None,
        9,
        (
            LedgerContainer("c", "w", 0, "n:1", "n:2", 3, "FAILED"),
            LedgerContainer("d", "w", 1, "n:1", "n:2", None, "RUNNING"),
        ),
    )
    assert json.loads(files.read(paths.ledger(APP))) == ENTRY, "what its ApplicationMaster wrote is not touched"


KILLED = ApplicationReport(id=APP, state="KILLED", final_status="KILLED", diagnostics="by bob", finished_ms=9)


def launches(first, count):
    entry = '{"event":"launch","container":"c%06d","service":"w","index":%d,"node":"%s:1","node_http":"n:2"}\n'
    return "".join(entry % (i, i, "n" * 700) for i in range(first, first + count)).encode()


def test_an_end_is_kept_where_the_journals_cannot_be_read(files, paths, monkeypatch, caplog):
    monkeypatch.setattr("knit_provider.yarn.submission.journal._MAX_BYTES", 1000)
    files.write_many(paths.staging(APP), {"journal-1": b"x" * 1001, "journal-1.2": launches(0, 1)})
    write_entry(files, paths, json.dumps(ENTRY).encode())
    note_end(files, paths, KILLED)
    found = read_ledger(files, paths, APP).outcome
    assert (found.final_status, found.diagnostics) == ("KILLED", "by bob")
    assert [c.id for c in found.containers] == ["c000000"]
    assert "journal-1 " in caplog.text


def test_an_end_is_kept_where_there_are_no_journals(files, paths):
    write_entry(files, paths, json.dumps(ENTRY).encode())
    note_end(files, paths, KILLED)
    assert read_ledger(files, paths, APP).outcome.final_status == "KILLED"


def test_of_very_many_containers_the_last_are_kept_and_can_be_read(files, paths):
    many = {f"journal-{attempt}": launches(attempt * 5000, 5000) for attempt in range(2, 11)}
    files.write_many(paths.staging(APP), many)
    write_entry(files, paths, json.dumps(ENTRY).encode())
    note_end(files, paths, KILLED)
    found = read_ledger(files, paths, APP).outcome
    assert 5_000 < len(found.containers) <= 20_000
    assert found.containers[-1].id == "c054999", "journal-10 comes after journal-9"


def test_an_end_that_somebody_else_is_just_writing_is_none_yet(files, paths):
    write_entry(files, paths, json.dumps(ENTRY).encode())
    folder, _, name = paths.ledger(APP).rpartition("/")
    files.write_many(folder, {name + END: b""})
    assert read_ledger(files, paths, APP).outcome is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_entry_is_an_error_and_not_none(files, paths, content):
    write_entry(files, paths, content)
    with pytest.raises(KnitError, match="has started"):
        read_ledger(files, paths, APP)


def test_an_unreadable_ledger_is_an_error_and_not_none(files, paths):
    files.forbidden.add(f"{paths.base}/ledger")
    with pytest.raises(PermissionDenied):
        read_ledger(files, paths, APP)
